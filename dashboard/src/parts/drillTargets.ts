import { useRouter } from '@tanstack/react-router';
import type { MouseEvent } from 'react';

export const FIGURES = [
  ...(['total', 'stage', 'funnel', 'flow', 'moved', 'action', 'visits', 'risk', 'cohort'] as const),
] as const;
export type Figure = (typeof FIGURES)[number];

/** A number that can be opened: the figure, and the parameters of the list behind it. */
export type DrillTarget = { figure: Figure; search?: Record<string, string | number | boolean> };

/** Returns the attributes of a link, in HTML or SVG, to the customers behind a number. */
export function useDrill(): (target: DrillTarget) => { href: string; onClick: (event: MouseEvent) => void } {
  const router = useRouter();
  return ({ figure, search = {} }) => {
    const place = { to: '/drill/$figure' as const, params: { figure }, search };
    return {
      href: router.buildLocation(place).href,
      onClick: (event) => {
        if (event.defaultPrevented || event.button !== 0) return;
        if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
        event.preventDefault();
        void router.navigate(place);
      },
    };
  };
}
