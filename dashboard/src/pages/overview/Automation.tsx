import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';

import { automationQuery, csvHref, type ActionOutcomes } from '../../api/queries/analytics';
import { ChartFrame } from '../../charts/ChartFrame';
import { useFormats } from '../../format/useFormats';
import { DataTable } from '../../parts/DataTable';
import { DrillLink } from '../../parts/DrillLink';
import { EmptyState } from '../../parts/EmptyState';
import { useActionName } from '../../parts/useActionName';
import type { PageContext } from './context';

const STATES = ['done', 'pending', 'cancelled', 'dead'] as const;

export function Automation({ query }: PageContext) {
  const { t } = useTranslation();
  const formats = useFormats();
  const actionName = useActionName();
  const result = useQuery({ ...automationQuery(query), placeholderData: keepPreviousData });
  const rate = result.data?.success_rate ?? null;
  const cell = (row: ActionOutcomes, state: (typeof STATES)[number]) => {
    const count = row[state];
    if (count === 0) return <span className="zero">{formats.int(0)}</span>;
    const name = t('automation.cell', {
      count,
      action: actionName(row.name),
      state: t(`automation.${state}`),
    });
    return (
      <DrillLink
        className={`number-link ${state}`}
        to={{ figure: 'action', search: { ...query, name: row.name, state } }}
        aria-label={name}
      >
        {formats.int(count)}
      </DrillLink>
    );
  };
  return (
    <ChartFrame
      title={t('automation.title')}
      note={
        rate === null
          ? t('automation.note')
          : `${t('automation.note')} ${t('automation.rate', { percent: formats.percent(rate) })}.`
      }
      result={result}
      height={160}
      csv={csvHref('automation', query)}
    >
      {(data) =>
        data.items.length === 0 ? (
          <EmptyState title={t('automation.empty')} />
        ) : (
          <DataTable
            caption={t('automation.title')}
            rows={data.items}
            keyOf={(row) => row.name}
            columns={[
              { title: t('automation.action'), cell: (row) => actionName(row.name) },
              ...STATES.map((state) => ({
                title: t(`automation.${state}`),
                cell: (row: ActionOutcomes) => cell(row, state),
                isNumber: true,
              })),
            ]}
          />
        )
      }
    </ChartFrame>
  );
}
