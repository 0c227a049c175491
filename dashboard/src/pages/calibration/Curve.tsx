import type { UseQueryResult } from '@tanstack/react-query';
import { useNavigate, useSearch } from '@tanstack/react-router';
import { useTranslation } from 'react-i18next';

import { csvHref } from '../../api/queries/analytics';
import type { CalibrationReport } from '../../api/queries/predictions';
import { CALIBRATION_HEIGHT, CalibrationCurve } from '../../charts/CalibrationCurve';
import { ChartFrame } from '../../charts/ChartFrame';
import { useFormats } from '../../format/useFormats';
import { DataTable } from '../../parts/DataTable';
import { EmptyState } from '../../parts/EmptyState';
import { SelectField } from '../../parts/SelectField';
import { curvesOf } from './curves';

const BACK_TEST = '';

/** The curve of the back-test, or of a month whose predictions have ended. */
export function Curve({ result }: { result: UseQueryResult<CalibrationReport> }) {
  const { t } = useTranslation();
  const formats = useFormats();
  const { month } = useSearch({ from: '/calibration' });
  const navigate = useNavigate({ from: '/calibration' });
  const curves = curvesOf(result.data);
  const chosen = curves.find((each) => each.month === month) ?? curves[0];
  const options = curves.map((each) => ({
    value: each.month ?? BACK_TEST,
    label: each.month === undefined ? t('calibration.backTest') : formats.monthYear(`${each.month}-01`),
  }));
  const choose = (value: string) => navigate({ search: value === BACK_TEST ? {} : { month: value } });
  return (
    <ChartFrame
      title={t('calibration.curve')}
      note={t('calibration.curveNote')}
      result={result}
      height={CALIBRATION_HEIGHT}
      csv={csvHref('calibration')}
      extra={
        options.length > 1 && (
          <SelectField
            label={t('calibration.source')}
            value={chosen?.month ?? BACK_TEST}
            options={options}
            onChange={(value) => void choose(value)}
          />
        )
      }
      table={() => (
        <DataTable
          caption={t('calibration.curve')}
          rows={(chosen?.bins ?? []).map((bin, index) => ({ ...bin, number: index + 1 }))}
          keyOf={({ number }) => String(number)}
          columns={[
            { title: t('calibration.bin'), cell: ({ number }) => formats.int(number) },
            { title: t('calibration.customers'), cell: (bin) => formats.int(bin.customers), isNumber: true },
            {
              title: t('calibration.predicted'),
              cell: (bin) => formats.percent(bin.predicted * 100),
              isNumber: true,
            },
            {
              title: t('calibration.realised'),
              cell: (bin) => formats.percent(bin.realised * 100),
              isNumber: true,
            },
          ]}
        />
      )}
    >
      {() =>
        chosen === undefined ? (
          <EmptyState title={t('calibration.noCurve')}>
            <p>{t('calibration.noCurveText')}</p>
          </EmptyState>
        ) : (
          <CalibrationCurve key={chosen.month} bins={chosen.bins} label={t('calibration.curve')} />
        )
      }
    </ChartFrame>
  );
}
