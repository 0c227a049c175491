import { keepPreviousData, useQuery, type UseQueryResult } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';

import { metricsQuery, overviewQuery, type Overview } from '../../api/queries/analytics';
import { daysOfMetrics, rolling, thin, type DayRow } from '../../charts/stageSeries';
import { daysBefore, metricDays } from '../../format/ranges';
import { useFormats } from '../../format/useFormats';
import { Failure } from '../../parts/Failure';
import { Loading } from '../../parts/Loading';
import { useStages, type StageLook } from '../../parts/useStages';
import type { PageContext } from './context';
import { StatisticCard } from './StatisticCard';

type Props = PageContext & { overview: UseQueryResult<Overview> };

const SPARK_POINTS = 60;
const HEIGHT = 116;

/** The four statistics of the guide, each with the period before and a line of its days. */
export function Statistics({ days, today, overview }: Props) {
  const { t } = useTranslation();
  const formats = useFormats();
  const stages = useStages();
  const before = days === null ? null : daysBefore(days);
  const earlier = useQuery({
    ...overviewQuery(before ?? { period: 'all' }),
    enabled: before !== null,
    placeholderData: keepPreviousData,
  }).data;
  const metrics = useQuery({
    ...metricsQuery(metricDays(days, today)),
    placeholderData: keepPreviousData,
  }).data;
  const { data, error, refetch } = overview;
  if (data === undefined) {
    return error === null ? (
      <Loading height={HEIGHT} />
    ) : (
      <div className="card">
        <Failure error={error} onRetry={() => void refetch()} />
      </div>
    );
  }
  const rows = daysOfMetrics(metrics?.items ?? []);
  const first = before === null ? undefined : rows.find((row) => row.day === before.to);
  const [risk, vip] = [mildestRisk(stages), highestProgress(stages)];
  const hint =
    before === null
      ? undefined
      : t('overview.beforeHint', { from: formats.day(before.from), to: formats.day(before.to) });
  const beforeOf = (stage: StageLook | undefined) =>
    first === undefined || stage === undefined
      ? null
      : t('overview.before', { value: formats.int(first.counts[stage.key] ?? 0) });
  const lineOf = (value: (row: DayRow) => number) => thin(rows.map(value), SPARK_POINTS);
  const isCompared = earlier !== undefined && before !== null;
  const newText = isCompared
    ? t('overview.newBefore', {
        count: data.new_customers,
        before: formats.int(earlier.new_customers),
      })
    : t('overview.new', { count: data.new_customers });
  const revenue = formats.wholeMoney(data.revenue);
  const revenueText = isCompared
    ? t('overview.revenueBefore', { value: revenue, before: formats.wholeMoney(earlier.revenue) })
    : t('overview.revenue', { value: revenue });
  return (
    <section className="grid four" aria-label={t('overview.statistics')}>
      <StatisticCard
        name={t('overview.total')}
        value={formats.int(data.total_customers)}
        detail={newText}
        hint={hint}
        isUp={data.new_customers > 0}
        line={lineOf((row) => row.total)}
        to={{ figure: 'total' }}
      />
      <StatisticCard
        name={t('overview.atRisk')}
        stage={risk}
        value={formats.int(data.at_risk_count)}
        share={formats.percent(data.at_risk_percentage)}
        detail={beforeOf(risk)}
        hint={hint}
        line={lineOf((row) => row.counts[risk?.key ?? ''] ?? 0)}
        to={{ figure: 'stage', search: { stage: risk?.key ?? '' } }}
      />
      <StatisticCard
        name={t('overview.vip')}
        stage={vip}
        value={formats.int(data.vip_count)}
        share={formats.percent(data.vip_percentage)}
        detail={beforeOf(vip)}
        hint={hint}
        line={lineOf((row) => row.counts[vip?.key ?? ''] ?? 0)}
        to={{ figure: 'stage', search: { stage: vip?.key ?? '' } }}
      />
      <StatisticCard
        name={t('overview.value')}
        value={formats.money(data.avg_lifetime_value)}
        detail={revenueText}
        hint={hint}
        line={thin(
          rolling(
            rows.map((row) => row.revenue),
            windowOf(rows.length),
          ),
          SPARK_POINTS,
        )}
        to={{ figure: 'total' }}
      />
    </section>
  );
}

/** Revenue of single days jumps: a week is summed, or a day where there are few. */
const windowOf = (days: number): number => (days > 60 ? 28 : days > 14 ? 7 : 1);

const mildestRisk = (stages: StageLook[] | undefined) => stages?.find((stage) => stage.kind === 'risk');
const highestProgress = (stages: StageLook[] | undefined) =>
  stages?.findLast((stage) => stage.kind === 'progress');
