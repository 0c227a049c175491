import { useTranslation } from 'react-i18next';

import { useFormats } from '../format/useFormats';

/** From here on a risk is high; the guide calls customers above it. */
const HIGH = 0.9;

/** A risk of 0 to 1 as a bar and in percent. */
export function RiskMeter({ risk, name }: { risk: number; name: string }) {
  const { t } = useTranslation();
  const formats = useFormats();
  const percent = Math.round(risk * 100);
  return (
    <span className={risk >= HIGH ? 'risk high' : 'risk'}>
      <span
        className="risk-bar"
        role="meter"
        aria-label={t('atRisk.meter', { name })}
        aria-valuemin={0}
        aria-valuemax={100}
        aria-valuenow={percent}
      >
        <i style={{ width: `${percent}%` }} />
      </span>
      <span className="risk-percent">{formats.percent(percent)}</span>
    </span>
  );
}
