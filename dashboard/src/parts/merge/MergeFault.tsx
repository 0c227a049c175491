import { Button } from 'antd';
import { useTranslation } from 'react-i18next';

import { mergedInto } from '../../api/mutations/merge';
import { ProblemError } from '../../api/problems';
import { CustomerLink } from '../CustomerLink';
import { Denied } from '../Failure';

const DEFAULT_WAIT_SECONDS = 5;

type Props = { error: Error; merged: number; onClose: () => void; onRetry: (() => void) | undefined };

/** Says why the customers were not merged, or why it is not known what a merge would do. */
export function MergeFault({ error, merged, onClose, onRetry }: Props) {
  const { t } = useTranslation();
  const text = useFaultText(merged);
  const scope = error instanceof ProblemError ? error.missingScope : null;
  if (scope !== null) return <Denied scope={scope} />;
  const survivor = mergedInto(error);
  return (
    <div className="failure" role="alert">
      <b>{t('merge.fault.title')}</b>
      <p>{text(error)}</p>
      {survivor !== null && (
        <p>
          <CustomerLink id={survivor} className="link" onOpen={onClose}>
            {t('merge.fault.toSurvivor', { id: survivor })}
          </CustomerLink>
        </p>
      )}
      {onRetry !== undefined && survivor === null && (
        <Button size="small" onClick={onRetry}>
          {t('failure.retry')}
        </Button>
      )}
    </div>
  );
}

function useFaultText(merged: number): (error: Error) => string {
  const { t } = useTranslation();
  return (error) => {
    if (!(error instanceof ProblemError) || error.status >= 500) return t('merge.fault.offline');
    const { code, status, retryAfter } = error;
    if (status === 412) return t('merge.fault.stale');
    if (status === 429) return t('merge.fault.busy', { seconds: retryAfter ?? DEFAULT_WAIT_SECONDS });
    if (code === 'customer-merged') return t('merge.fault.mergedBefore', { id: merged });
    if (code === 'merge-with-itself') return t('merge.fault.same');
    if (status === 404 || code === 'customer-erased') return t('merge.fault.gone');
    return error.message;
  };
}
