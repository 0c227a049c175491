import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';

import { cohortsQuery, csvHref, type RangeQuery } from '../../api/queries/analytics';
import { ChartFrame } from '../../charts/ChartFrame';
import { CohortHeat } from '../../charts/CohortHeat';
import { EmptyState } from '../../parts/EmptyState';
import type { PageContext } from './context';

export function Cohorts({ query }: PageContext) {
  const { t } = useTranslation();
  // Months are compared: a shorter period is shown within its year.
  const months: RangeQuery = 'period' in query && query.period !== 'all' ? { period: 'year' } : query;
  const result = useQuery({ ...cohortsQuery(months), placeholderData: keepPreviousData });
  return (
    <ChartFrame
      title={t('cohorts.title')}
      note={t('cohorts.note')}
      result={result}
      height={320}
      csv={csvHref('cohorts', months)}
    >
      {(data) =>
        data.items.length === 0 ? (
          <EmptyState title={t('cohorts.empty')} />
        ) : (
          <CohortHeat
            items={data.items}
            caption={t('cohorts.title')}
            targetOf={(item) => ({ figure: 'cohort', search: { cohort: item.cohort, month: item.month } })}
          />
        )
      }
    </ChartFrame>
  );
}
