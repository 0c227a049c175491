import {
  Bell,
  Gift,
  Mail,
  MessageSquare,
  Phone,
  Send,
  UserCheck,
  Webhook,
  ListTodo,
  type LucideIcon,
} from 'lucide-react';
import { useTranslation } from 'react-i18next';

import type { Action } from '../../api/queries/customer';
import { useActionName } from '../../parts/useActionName';
import { Line } from './Line';

const ICONS: Record<Action['channel'], LucideIcon> = {
  email: Mail,
  sms: MessageSquare,
  call: Phone,
  offer: Gift,
  crm: Send,
  task: ListTodo,
  assignment: UserCheck,
  notice: Bell,
  webhook: Webhook,
};

/** A message, an offer or a task: whether it was carried out, and if not, why. */
export function ActionLine({ action, at }: { action: Action; at: string }) {
  const { t } = useTranslation();
  const actionName = useActionName();
  const Icon = ICONS[action.channel];
  const state = t(`customer.state.${action.state}`);
  const reason = action.reason === null ? null : t(`contact.reasons.${action.reason}`);
  return (
    <Line
      at={at}
      icon={<Icon size={14} aria-hidden />}
      className={action.state === 'pending' ? 'event future' : `event ${action.state}`}
    >
      <p>
        <b>{actionName(action.name)}</b>{' '}
        <span className="quiet">{t(`customer.channel.${action.channel}`)}</span>
      </p>
      <p className={action.state === 'dead' ? 'bad' : 'quiet'}>
        {[state, ...(reason === null ? [] : [reason])].join(': ')}
        {action.state === 'dead' && action.last_error !== null && ` (${action.last_error})`}
      </p>
      {action.offer !== null && <p className="said">{action.offer.title}</p>}
      {action.note !== null && (
        <p className="said" dir="auto">
          {t('customer.journey.note', { note: action.note })}
        </p>
      )}
    </Line>
  );
}
