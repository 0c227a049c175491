import { useParentSize } from '@visx/responsive';
import type { ReactNode } from 'react';

type Props = { height: number; label: string; children: (width: number) => ReactNode };

/** A drawing as wide as its place. Its marks are links with names of their own. */
export function Sized({ height, label, children }: Props) {
  const { parentRef, width } = useParentSize({ debounceTime: 50 });
  return (
    <div ref={parentRef} className="sized" style={{ height }}>
      {width > 0 && (
        <svg width={width} height={height} role="group" aria-label={label}>
          {children(width)}
        </svg>
      )}
    </div>
  );
}
