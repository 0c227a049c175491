import { useMutation } from '@tanstack/react-query';
import { Button } from 'antd';
import { useTranslation } from 'react-i18next';

import { requestBulk, type BulkActions, type BulkRequest } from '../../api/mutations/actions';
import { isAnswer } from '../../api/unanswered';
import { Failure } from '../Failure';
import { useBoot } from '../useBoot';

type Props = {
  request: BulkRequest;
  onAnswer: (answer: BulkActions) => void;
  onForget: () => void;
};

/**
 * A bulk action whose answer has not arrived. The same request under the same key tells whether it was carried out: the
 * service returns its job if it was, and starts it if it was not.
 */
export function BulkUnanswered({ request, onAnswer, onForget }: Props) {
  const { t } = useTranslation();
  const { company } = useBoot();
  const send = useMutation({ mutationFn: () => requestBulk(company.id, request), onSuccess: onAnswer });
  const count = request.customer_ids?.length;
  return (
    <div className="card unanswered" role="alert">
      <div>
        <b>{t('contact.unanswered')}</b>
        <p>
          {count === undefined
            ? t(`atRisk.unansweredAll.${request.type}`)
            : t(`atRisk.unanswered.${request.type}`, { count })}{' '}
          {t('contact.unansweredText')}
        </p>
        {send.error !== null && isAnswer(send.error) && <Failure error={send.error} />}
      </div>
      <div className="unanswered-actions">
        <Button type="primary" loading={send.isPending} onClick={() => send.mutate()}>
          {t('contact.again')}
        </Button>
        <Button type="text" disabled={send.isPending} onClick={onForget}>
          {t('contact.giveUp')}
        </Button>
      </div>
    </div>
  );
}
