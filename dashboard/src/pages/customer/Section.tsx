import type { UseQueryResult } from '@tanstack/react-query';
import { useId, type ReactNode } from 'react';

import { Failure } from '../../parts/Failure';
import { Loading } from '../../parts/Loading';

type Props<T> = {
  title: string;
  result: UseQueryResult<T>;
  height: number;
  extra?: ReactNode;
  children: (data: T) => ReactNode;
};

/** A card of the page with what one query answers; if that fails, the rest of the page stays. */
export function Section<T>({ title, result, height, extra, children }: Props<T>) {
  const { data, error, refetch } = result;
  return (
    <Card title={title} extra={extra}>
      {error !== null && <Failure error={error} onRetry={() => void refetch()} />}
      {data === undefined ? error === null && <Loading height={height} /> : children(data)}
    </Card>
  );
}

/** A card with a title. */
export function Card({
  title,
  extra,
  className = '',
  children,
}: {
  title: string;
  extra?: ReactNode;
  className?: string;
  children: ReactNode;
}) {
  const id = useId();
  return (
    <section className={`card ${className}`} aria-labelledby={id}>
      <header>
        <h2 id={id}>{title}</h2>
        {extra !== undefined && <span className="space" />}
        {extra}
      </header>
      {children}
    </section>
  );
}
