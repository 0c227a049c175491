import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { Navigate, useNavigate, useSearch } from '@tanstack/react-router';
import { useTranslation } from 'react-i18next';

import { overviewQuery } from '../../api/queries/analytics';
import { can } from '../../api/rights';
import { localDay } from '../../format/formats';
import { daysOf, rangeQuery, type RangeChoice } from '../../format/ranges';
import { useFormats } from '../../format/useFormats';
import { DateRange } from '../../parts/DateRange';
import { EmptyState } from '../../parts/EmptyState';
import { Denied } from '../../parts/Failure';
import { useBoot } from '../../parts/useBoot';
import { Automation } from './Automation';
import { ByStage } from './ByStage';
import { Cohorts } from './Cohorts';
import { Flows } from './Flows';
import { Funnel } from './Funnel';
import { Risk } from './Risk';
import { Statistics } from './Statistics';
import { Strip } from './Strip';
import { Times } from './Times';
import { usePeriodKeys } from './usePeriodKeys';

/** The overview: where customers are, how they move, and who is at risk. */
export function OverviewPage() {
  const { t } = useTranslation();
  const boot = useBoot();
  const formats = useFormats();
  const search = useSearch({ from: '/' });
  const navigate = useNavigate({ from: '/' });
  const query = rangeQuery(search);
  const isAllowed = can(boot.scopes, 'analytics:read');
  const overview = useQuery({
    ...overviewQuery(query),
    enabled: isAllowed,
    placeholderData: keepPreviousData,
  });
  const today = localDay(boot.company.now, boot.company.timezone);
  const days = daysOf(search, today);
  const known =
    days ?? (overview.data === undefined ? null : { from: overview.data.from, to: overview.data.to });
  const choose = (range: RangeChoice) => {
    void navigate({ search: { ...range, ...(search.as_of === undefined ? {} : { as_of: search.as_of }) } });
  };
  usePeriodKeys(search, choose);
  const isPlain = Object.keys(search).length === 0;
  // Without reports, the day's work is where to begin; a link to a report says what is missing.
  if (!isAllowed && isPlain && can(boot.scopes, 'actions:read')) return <Navigate to="/today" replace />;
  if (!isAllowed) {
    return (
      <div className="page">
        <h1>{t('overview.title')}</h1>
        <Denied scope="analytics:read" />
      </div>
    );
  }
  const context = { choice: search, query, days, today };
  return (
    <div className="page">
      <div className="page-head">
        <div>
          <h1>{t('overview.title')}</h1>
          <p className="lead">
            {known !== null &&
              t('overview.lead', {
                from: formats.day(known.from),
                to: formats.day(known.to),
                city: formats.city,
              })}
          </p>
        </div>
        <DateRange choice={search} today={today} onChoose={choose} />
      </div>
      {overview.data?.total_customers === 0 ? (
        <EmptyState title={t('overview.empty')}>
          <p>{t('overview.emptyText')}</p>
          <a href="/docs" className="link">
            {t('overview.emptyStep')}
          </a>
        </EmptyState>
      ) : null}
      <Statistics {...context} overview={overview} />
      <Strip today={today} />
      <div className="grid two">
        <Funnel {...context} />
        <Flows {...context} />
      </div>
      <div className="grid two">
        <Times {...context} />
        <ByStage {...context} />
      </div>
      <div className="grid wide-left">
        <Cohorts {...context} />
        <div className="grid stack">
          <Risk />
          <Automation {...context} />
        </div>
      </div>
    </div>
  );
}
