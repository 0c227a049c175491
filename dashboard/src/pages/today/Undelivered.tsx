import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { Button } from 'antd';
import { useTranslation } from 'react-i18next';

import { retryAction } from '../../api/mutations/actions';
import { deadActionsQuery, type Action } from '../../api/queries/actions';
import { can } from '../../api/rights';
import { ContactName } from '../../parts/contact/ContactName';
import { notify } from '../../parts/notices';
import { useActionName } from '../../parts/useActionName';
import { useBoot } from '../../parts/useBoot';

/** The newest actions that could not be delivered: for whom, why, and another try. */
export function Undelivered({ count }: { count: number }) {
  const { t } = useTranslation();
  const shown = useQuery(deadActionsQuery()).data?.items ?? [];
  return (
    <ul className="undelivered">
      {shown.map((action) => (
        <Item key={action.id} action={action} />
      ))}
      {shown.length > 0 && count > shown.length && (
        <li className="muted">{t('today.deadMore', { count: count - shown.length })}</li>
      )}
    </ul>
  );
}

function Item({ action }: { action: Action }) {
  const actionName = useActionName();
  const { scopes } = useBoot();
  const why = [actionName(action.name), ...(action.last_error === null ? [] : [action.last_error])];
  return (
    <li>
      <div>
        <ContactName id={action.customer_id} reference={action.customer_ref} name={action.customer_name} />
        <small>{why.join(': ')}</small>
      </div>
      {can(scopes, 'actions:write') && <Retry action={action} />}
    </li>
  );
}

function Retry({ action }: { action: Action }) {
  const { t } = useTranslation();
  const client = useQueryClient();
  const actionName = useActionName();
  const name = action.customer_name ?? t('contact.number', { id: action.customer_id });
  const retry = useMutation({
    mutationFn: () => retryAction(action.id),
    onSuccess: () => notify(t('today.retried', { name })),
    onError: (error) => notify(error.message, { kind: 'bad' }),
    onSettled: () =>
      Promise.all(['actions', 'today'].map((key) => client.invalidateQueries({ queryKey: [key] }))),
  });
  return (
    <Button
      size="small"
      loading={retry.isPending}
      aria-label={t('today.retryFor', { action: actionName(action.name), name })}
      onClick={() => retry.mutate()}
    >
      {t('today.retry')}
    </Button>
  );
}
