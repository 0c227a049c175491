import type { CSSProperties, ReactNode } from 'react';

import { useFormats } from '../../format/useFormats';

type LineProps = {
  at: string;
  icon: ReactNode;
  className?: string;
  style?: CSSProperties;
  children: ReactNode;
};

/** One line: its day, a dot, and what happened. */
export function Line({ at, icon, className = '', style, children }: LineProps) {
  const formats = useFormats();
  return (
    <li className={`line ${className}`} style={style}>
      <time dateTime={at} title={formats.instant(at)}>
        {formats.instantDay(at)}
      </time>
      <span className="line-dot">{icon}</span>
      <div className="line-what">{children}</div>
    </li>
  );
}
