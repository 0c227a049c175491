import { useTranslation } from 'react-i18next';

import type { Action, ContactType } from '../../api/mutations/actions';

/** Returns how the outcome of a requested action is told. */
export function useOutcome(): (action: Action, name: string) => string {
  const { t } = useTranslation();
  return ({ channel, state, reason }, name) => {
    const type = channel as ContactType;
    if (state === 'cancelled' && reason !== null)
      return t(`contact.not.${type}`, { name, why: t(`contact.reasons.${reason}`) });
    return t(`contact.done.${type}`, { name });
  };
}
