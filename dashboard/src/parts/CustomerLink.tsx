import { useRouter } from '@tanstack/react-router';
import type { MouseEvent, ReactNode } from 'react';

import { customerPath } from './CustomerName';

type Props = { id: number; children: ReactNode; className?: string; onOpen?: () => void };

/** A link to the page of a customer. */
export function CustomerLink({ id, children, className, onOpen }: Props) {
  const router = useRouter();
  const href = customerPath(id);
  const open = (event: MouseEvent) => {
    if (event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    onOpen?.();
    void router.navigate({ to: href as '/' });
  };
  return (
    <a href={href} onClick={open} className={className}>
      {children}
    </a>
  );
}
