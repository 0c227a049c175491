import type { UseQueryResult } from '@tanstack/react-query';
import { useId, useState, type ReactNode } from 'react';
import { useTranslation } from 'react-i18next';

import { Failure } from '../parts/Failure';
import { Loading } from '../parts/Loading';

type Props<T> = {
  title: string;
  /** What is counted, in one line. */
  note?: string | undefined;
  result: UseQueryResult<T>;
  /** Height of the chart, so that nothing jumps when it arrives. */
  height: number;
  csv?: string | undefined;
  /** Controls beside the title. */
  extra?: ReactNode;
  className?: string;
  children: (data: T) => ReactNode;
  /** The same numbers as a table, for readers and for those who want to read exactly. */
  table?: (data: T) => ReactNode;
};

/** The frame of every chart: title, note, CSV of the same query, and the table of the same numbers. */
export function ChartFrame<T>({
  title,
  note,
  result,
  height,
  csv,
  extra,
  className,
  children,
  table,
}: Props<T>) {
  const { t } = useTranslation();
  const id = useId();
  const [isTable, setTable] = useState(false);
  const { data, error, refetch } = result;
  const body = () => {
    if (data !== undefined) return isTable && table !== undefined ? table(data) : children(data);
    if (error !== null) return <Failure error={error} onRetry={() => void refetch()} />;
    return <Loading height={height} />;
  };
  return (
    <section className={`card ${className ?? ''}`} aria-labelledby={id}>
      <header>
        <h2 id={id}>{title}</h2>
        <span className="space" />
        {extra}
        {csv !== undefined && (
          <a href={csv} download className="quiet-button" aria-label={t('chart.csvOf', { title })}>
            {t('chart.csv')}
          </a>
        )}
        {table !== undefined && (
          <button
            type="button"
            className="quiet-button"
            aria-label={t(isTable ? 'chart.chartOf' : 'chart.tableOf', { title })}
            onClick={() => setTable(!isTable)}
          >
            {t(isTable ? 'chart.chart' : 'chart.table')}
          </button>
        )}
      </header>
      {data !== undefined && error !== null && <Failure error={error} onRetry={() => void refetch()} />}
      {body()}
      {note !== undefined && data !== undefined && <p className="note">{note}</p>}
    </section>
  );
}
