import { useTranslation } from 'react-i18next';

import { useFormats } from '../format/useFormats';

type Props = {
  /** The chance to churn; null: nothing is predicted. */
  chance: number | null;
  /** The lifetime value; refunds can make it negative, and then nothing is lost. */
  value: number;
};

/** What is likely to be lost with a customer: the chance to churn times the value, and the chance itself. */
export function ExpectedLoss({ chance, value }: Props) {
  const { t } = useTranslation();
  const formats = useFormats();
  if (chance === null) return <span className="muted">{t('parts.noPrediction')}</span>;
  return (
    <span className="expected-loss">
      {formats.money(chance * Math.max(value, 0))}
      <small>{t('parts.churnChance', { percent: formats.percent(Math.round(chance * 100)) })}</small>
    </span>
  );
}
