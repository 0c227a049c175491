import type { ComponentProps } from 'react';

import { useDrill, type DrillTarget } from './drillTargets';

type Props = Omit<ComponentProps<'a'>, 'href' | 'onClick' | 'target'> & { to: DrillTarget };

/** A link from a number to the customers behind it. */
export function DrillLink({ to, children, ...rest }: Props) {
  const { href, onClick } = useDrill()(to);
  return (
    <a {...rest} href={href} onClick={onClick}>
      {children}
    </a>
  );
}
