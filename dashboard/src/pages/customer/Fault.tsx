import { useTranslation } from 'react-i18next';

import { ProblemError } from '../../api/problems';
import { rolesWith } from '../../api/rights';
import { useFormats } from '../../format/useFormats';

/** Problems that have words of their own: what has happened in the meantime. */
const WORDS = {
  'already-in-stage': 'alreadyThere',
  'stage-inactive': 'archived',
  'not-pinned': 'notPinned',
  'task-closed': 'taskClosed',
  'campaign-ended': 'campaignEnded',
  'customer-erased': 'gone',
  'customer-not-found': 'gone',
  'stale-version': 'staleTitle',
  'stale-task': 'staleTitle',
} as const;
const DEFAULT_WAIT = 5;

/** Says why a change was not made. What was typed stays where it is. */
export function Fault({ error }: { error: Error | null }) {
  const { t } = useTranslation();
  const faultText = useFaultText();
  if (error === null) return null;
  return (
    <div className="failure" role="alert">
      <b>{t('customer.fault.title')}</b>
      <p>{faultText(error)}</p>
    </div>
  );
}

export function useFaultText(): (error: Error) => string {
  const { t } = useTranslation();
  const formats = useFormats();
  return (error) => {
    if (!(error instanceof ProblemError) || error.status >= 500) return t('customer.fault.offline');
    const word = WORDS[error.code as keyof typeof WORDS];
    if (word !== undefined) return t(`customer.fault.${word}`);
    if (error.status === 401) return t('customer.fault.signIn');
    if (error.status === 429) return t('customer.fault.busy', { seconds: error.retryAfter ?? DEFAULT_WAIT });
    const scope = error.missingScope;
    if (scope === null) return error.message;
    const roles = formats.list(rolesWith(scope).map((role) => t(`roles.${role}`)));
    return t('customer.fault.denied', { scope, roles });
  };
}
