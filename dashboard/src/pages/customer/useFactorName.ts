import { useTranslation } from 'react-i18next';

import type { Score } from '../../api/queries/customer';
import { actionName } from '../../format/actionName';
import { useFormats } from '../../format/useFormats';

type Factor = Score['factors'][number];

/** Returns what a factor of a score asks, with the threshold of the company. */
export function useFactorName(): (factor: Factor) => string {
  const { t } = useTranslation();
  const formats = useFormats();
  return ({ name, threshold }) => {
    switch (name) {
      case 'appointment_frequency':
      case 'recency':
      case 'monetary_value':
      case 'interaction_quality':
      case 'support_tickets':
      case 'new_relationship':
        return t(`customer.scores.${name}`);
      case 'days_inactive':
      case 'days_very_inactive':
        return t(`customer.scores.${name}`, { count: threshold ?? 0 });
      case 'missed_appointments':
      case 'declining_frequency':
        return t(`customer.scores.${name}`, { percent: formats.percent(Math.abs(threshold ?? 0) * 100) });
      default:
        return actionName(name);
    }
  };
}
