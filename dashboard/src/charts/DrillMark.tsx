import type { ComponentProps } from 'react';

import { useDrill, type DrillTarget } from '../parts/drillTargets';

type Props = Omit<ComponentProps<'a'>, 'href' | 'onClick' | 'target'> & { to: DrillTarget; name: string };

/** A mark of a chart that opens its customers: a link within a drawing. */
export function DrillMark({ to, name, children, ...rest }: Props) {
  const { href, onClick } = useDrill()(to);
  return (
    <a {...rest} href={href} onClick={onClick} aria-label={name}>
      <title>{name}</title>
      {children}
    </a>
  );
}
