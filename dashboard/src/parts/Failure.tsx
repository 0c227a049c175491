import { Button } from 'antd';
import { RefreshCw } from 'lucide-react';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';

import { ProblemError } from '../api/problems';
import { rolesWith } from '../api/rights';
import { useFormats } from '../format/useFormats';

type Props = { error: Error; onRetry?: () => void };

/** Says what could not be read and why, with what a person needs to report it. The rest of the page stays. */
export function Failure({ error, onRetry }: Props) {
  const { t } = useTranslation();
  const problem = error instanceof ProblemError ? error : null;
  const scope = problem?.missingScope ?? null;
  if (scope !== null) return <Denied scope={scope} />;
  return (
    <div className="failure" role="alert">
      <b>{t('failure.title')}</b>
      <p>{problem === null ? t('failure.network') : problem.message}</p>
      {problem?.requestId != null && <RequestId id={problem.requestId} />}
      {onRetry !== undefined && (
        <Button size="small" icon={<RefreshCw size={13} aria-hidden />} onClick={onRetry}>
          {t('failure.retry')}
        </Button>
      )}
    </div>
  );
}

function RequestId({ id }: { id: string }) {
  const { t } = useTranslation();
  const [isCopied, setCopied] = useState(false);
  const copy = () => {
    void navigator.clipboard.writeText(id).then(() => setCopied(true));
  };
  return (
    <p className="request-id">
      <span>{t('failure.requestId')}</span> <code>{id}</code>{' '}
      <button type="button" className="quiet-button" onClick={copy}>
        {isCopied ? t('failure.copied') : t('failure.copy')}
      </button>
    </p>
  );
}

/** Names the right that is missing, and who has it. */
export function Denied({ scope }: { scope: string }) {
  const { t } = useTranslation();
  const formats = useFormats();
  const roles = formats.list(rolesWith(scope).map((role) => t(`roles.${role}`)));
  return (
    <div className="failure" role="alert">
      <b>{t('failure.deniedTitle')}</b>
      <p>{t('failure.denied', { scope, roles })}</p>
    </div>
  );
}
