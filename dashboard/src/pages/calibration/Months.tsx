import type { UseQueryResult } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';

import { csvHref } from '../../api/queries/analytics';
import type { CalibrationMonth, CalibrationReport } from '../../api/queries/predictions';
import { ChartFrame } from '../../charts/ChartFrame';
import { useFormats } from '../../format/useFormats';
import { DataTable } from '../../parts/DataTable';
import { EmptyState } from '../../parts/EmptyState';

/** Each month of predictions: how many customers, what was predicted, and what happened once it is known. */
export function Months({ result }: { result: UseQueryResult<CalibrationReport> }) {
  const { t } = useTranslation();
  const formats = useFormats();
  const share = (value: number | null) =>
    value === null ? <span className="muted">{t('calibration.pending')}</span> : formats.percent(value * 100);
  const points = (value: number | null) =>
    value === null ? '–' : t('calibration.points', { points: formats.decimal(value * 100) });
  return (
    <ChartFrame
      title={t('calibration.months')}
      note={t('calibration.monthsNote', { days: result.data?.horizon_days })}
      result={result}
      height={160}
      csv={csvHref('calibration')}
    >
      {(data) =>
        data.items.length === 0 ? (
          <EmptyState title={t('calibration.noMonths')}>
            <p>{t('calibration.noMonthsText')}</p>
          </EmptyState>
        ) : (
          <DataTable<CalibrationMonth>
            caption={t('calibration.months')}
            rows={data.items}
            keyOf={({ month }) => month}
            columns={[
              { title: t('calibration.month'), cell: ({ month }) => formats.monthYear(`${month}-01`) },
              {
                title: t('calibration.customers'),
                cell: ({ customers }) => formats.int(customers),
                isNumber: true,
              },
              {
                title: t('calibration.predicted'),
                cell: ({ predicted }) => share(predicted),
                isNumber: true,
              },
              { title: t('calibration.realised'), cell: ({ realised }) => share(realised), isNumber: true },
              {
                title: t('calibration.error'),
                cell: ({ calibration_error: error }) => points(error),
                isNumber: true,
              },
            ]}
          />
        )
      }
    </ChartFrame>
  );
}
