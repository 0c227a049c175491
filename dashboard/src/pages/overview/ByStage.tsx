import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';

import { csvHref, metricsQuery } from '../../api/queries/analytics';
import { ChartFrame } from '../../charts/ChartFrame';
import { AREA_HEIGHT, StageArea } from '../../charts/StageArea';
import { daysOfMetrics, thin, type DayRow } from '../../charts/stageSeries';
import { MAX_METRIC_DAYS, metricDays } from '../../format/ranges';
import { useFormats } from '../../format/useFormats';
import { DataTable } from '../../parts/DataTable';
import { EmptyState } from '../../parts/EmptyState';
import { Loading } from '../../parts/Loading';
import { useStages } from '../../parts/useStages';
import type { PageContext } from './context';

const MAX_TABLE_ROWS = 60;

export function ByStage({ days, today }: PageContext) {
  const { t } = useTranslation();
  const formats = useFormats();
  const stages = useStages();
  const query = metricDays(days, today);
  const result = useQuery({ ...metricsQuery(query), placeholderData: keepPreviousData });
  const isClipped = days === null || days.from < query.from;
  const note = isClipped
    ? `${t('area.clipped', { days: MAX_METRIC_DAYS })} ${t('area.note')}`
    : t('area.note');
  return (
    <ChartFrame
      title={t('area.title')}
      note={note}
      result={result}
      height={AREA_HEIGHT}
      csv={csvHref('metrics', query)}
      table={(data) => (
        <DataTable<DayRow>
          caption={t('area.title')}
          rows={thin(daysOfMetrics(data.items), MAX_TABLE_ROWS).toReversed()}
          keyOf={(row) => row.day}
          columns={[
            { title: t('area.day'), cell: (row) => formats.day(row.day) },
            ...(stages ?? []).map((stage) => ({
              title: stage.short,
              cell: (row: DayRow) => formats.int(row.counts[stage.key] ?? 0),
              isNumber: true,
            })),
            { title: t('area.total'), cell: (row) => formats.int(row.total), isNumber: true },
          ]}
        />
      )}
    >
      {(data) => {
        if (stages === undefined) return <Loading height={AREA_HEIGHT} />;
        const rows = thin(daysOfMetrics(data.items), MAX_METRIC_DAYS);
        if (rows.length < 2) return <EmptyState title={t('area.tooFew')} />;
        return (
          <StageArea
            label={t('area.title')}
            rows={rows}
            stages={stages}
            targetOf={(stage) => ({ figure: 'stage', search: { stage: stage.key } })}
          />
        );
      }}
    </ChartFrame>
  );
}
