import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';

import { conversionsQuery, csvHref, timesQuery, type ConversionRate } from '../../api/queries/analytics';
import { ChartFrame } from '../../charts/ChartFrame';
import { useFormats } from '../../format/useFormats';
import { DataTable } from '../../parts/DataTable';
import { DrillLink } from '../../parts/DrillLink';
import { EmptyState } from '../../parts/EmptyState';
import { StageChip, stageStyle } from '../../parts/StageChip';
import { useStageLook } from '../../parts/useStages';
import type { PageContext } from './context';

/** How many stays in each stage ended with a step up, and how long half of the stays took. */
export function Conversions({ query }: PageContext) {
  const { t } = useTranslation();
  const formats = useFormats();
  const lookOf = useStageLook();
  const result = useQuery({ ...conversionsQuery(query), placeholderData: keepPreviousData });
  // The chart of times asks the same: one request.
  const times = useQuery({ ...timesQuery(query), placeholderData: keepPreviousData }).data;
  const daysOf = (key: string) => times?.items.find((item) => item.stage_key === key)?.median_days ?? null;
  const rateOf = (row: ConversionRate) =>
    row.conversion_rate === null ? '–' : formats.percent(row.conversion_rate);
  return (
    <ChartFrame
      title={t('conversions.title')}
      note={t('conversions.note')}
      result={result}
      height={240}
      csv={csvHref('conversion-rates', query)}
    >
      {(data) =>
        data.items.every((row) => row.visits === 0) ? (
          <EmptyState title={t('conversions.empty')} />
        ) : (
          <DataTable
            caption={t('conversions.title')}
            rows={data.items}
            keyOf={(row) => row.stage_key}
            columns={[
              {
                title: t('conversions.stage'),
                cell: (row) => <StageChip stage={lookOf(row.stage_key, row.stage_name)} isShort />,
              },
              {
                title: t('conversions.rate'),
                cell: (row) => (
                  <span className="rate" style={stageStyle(lookOf(row.stage_key, row.stage_name))}>
                    <span className="rate-bar" aria-hidden>
                      <i style={{ width: `${row.conversion_rate ?? 0}%` }} />
                    </span>
                    <span className="rate-share">{rateOf(row)}</span>
                  </span>
                ),
                isNumber: true,
              },
              {
                title: t('conversions.left'),
                cell: (row) =>
                  row.visits === 0 ? (
                    <span className="zero">{formats.int(0)}</span>
                  ) : (
                    <DrillLink
                      className="number-link"
                      to={{ figure: 'visits', search: { ...query, stage: row.stage_key } }}
                      aria-label={t('conversions.of', {
                        converted: formats.int(row.converted),
                        visits: formats.int(row.visits),
                        stage: row.stage_name,
                      })}
                    >
                      {t('conversions.share', {
                        converted: formats.int(row.converted),
                        visits: formats.int(row.visits),
                      })}
                    </DrillLink>
                  ),
                isNumber: true,
              },
              {
                title: t('conversions.days'),
                cell: (row) => {
                  const value = daysOf(row.stage_key);
                  return value === null ? '–' : formats.decimal(value);
                },
                isNumber: true,
              },
            ]}
          />
        )
      }
    </ChartFrame>
  );
}
