import { useTranslation } from 'react-i18next';

import { useFormats } from '../format/useFormats';
import { riskBand } from '../format/riskBand';

/** A risk score of 0 to 1 as a bar with its percentage, in the colour of its band. */
export function RiskMeter({ score, label }: { score: number; label: string }) {
  const { t } = useTranslation();
  const formats = useFormats();
  const band = riskBand(score);
  const percent = Math.round(score * 100);
  const text = formats.percent(percent);
  return (
    <span className="risk-meter" data-band={band}>
      <span
        className="risk-track"
        role="meter"
        aria-label={label}
        aria-valuemin={0}
        aria-valuemax={100}
        aria-valuenow={percent}
        aria-valuetext={`${text}, ${t(`risk.${band}`)}`}
      >
        <i style={{ width: `${percent}%` }} />
      </span>
      <span className="risk-share">{text}</span>
    </span>
  );
}
