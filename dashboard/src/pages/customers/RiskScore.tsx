import { useTranslation } from 'react-i18next';

import { useFormats } from '../../format/useFormats';

/** Upper ends of the bands of the risk report, in hundredths. */
const BANDS = [
  ['low', 30],
  ['medium', 70],
  ['high', 80],
] as const;

/** Returns the band of a risk score of 0 to 1, as the risk report counts it. */
export function riskBand(score: number): 'low' | 'medium' | 'high' | 'critical' {
  const hundredths = Math.round(score * 100);
  return BANDS.find(([, high]) => hundredths <= high)?.[0] ?? 'critical';
}

/** A risk score of 0 to 1 as a bar with its percentage. */
export function RiskScore({ score }: { score: number }) {
  const { t } = useTranslation();
  const formats = useFormats();
  const band = riskBand(score);
  const text = formats.percent(Math.round(score * 100));
  return (
    <span
      className="risk-meter"
      data-band={band}
      role="meter"
      aria-label={t('parts.risk')}
      aria-valuemin={0}
      aria-valuemax={100}
      aria-valuenow={Math.round(score * 100)}
      aria-valuetext={`${text}, ${t(`risk.${band}`)}`}
    >
      <i aria-hidden>
        <b style={{ width: `${score * 100}%` }} />
      </i>
      <span className="risk-share">{text}</span>
    </span>
  );
}
