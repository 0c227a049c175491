import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';

import { csvHref, timesQuery, type StageTime } from '../../api/queries/analytics';
import { ChartFrame } from '../../charts/ChartFrame';
import { TimeRanges, timeRangesHeight } from '../../charts/TimeRanges';
import { useFormats } from '../../format/useFormats';
import { usePhone } from '../../look/media';
import { DataTable } from '../../parts/DataTable';
import { useStageLook } from '../../parts/useStages';
import type { PageContext } from './context';

export function Times({ query }: PageContext) {
  const { t } = useTranslation();
  const formats = useFormats();
  const lookOf = useStageLook();
  const isPhone = usePhone();
  const result = useQuery({ ...timesQuery(query), placeholderData: keepPreviousData });
  const days = (value: number | null) => (value === null ? '–' : formats.decimal(value));
  return (
    <ChartFrame
      title={t('times.title')}
      note={t('times.note')}
      result={result}
      height={timeRangesHeight(7)}
      csv={csvHref('time-in-stage', query)}
      table={(data) => (
        <DataTable
          caption={t('times.title')}
          rows={data.items}
          keyOf={(item) => item.stage_key}
          columns={[
            { title: t('times.stage'), cell: (item) => item.stage_name },
            { title: t('times.visits'), cell: (item) => formats.int(item.visits), isNumber: true },
            { title: t('times.median'), cell: (item) => days(item.median_days), isNumber: true },
            { title: t('times.p90'), cell: (item) => days(item.p90_days), isNumber: true },
            { title: t('times.open'), cell: (item) => formats.int(item.open_count), isNumber: true },
            { title: t('times.age'), cell: (item) => days(item.open_avg_days), isNumber: true },
          ]}
        />
      )}
    >
      {(data) => (
        <TimeRanges
          label={t('times.title')}
          items={data.items}
          lookOf={lookOf}
          isShort={isPhone}
          targetOf={(item: StageTime) => ({
            figure: 'visits',
            search:
              item.visits > 0 ? { ...query, stage: item.stage_key } : { stage: item.stage_key, open: true },
          })}
        />
      )}
    </ChartFrame>
  );
}
