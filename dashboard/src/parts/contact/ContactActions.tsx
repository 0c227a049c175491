import { Button, Tooltip } from 'antd';
import { Gift, Mail, Phone } from 'lucide-react';
import { useId } from 'react';
import { useTranslation } from 'react-i18next';

import type { Schemas } from '../../api/client';
import type { ContactType } from '../../api/mutations/actions';
import { can } from '../../api/rights';
import { useBoot } from '../useBoot';
import { openContact, type ContactTarget } from './contactTarget';

export const CONTACT_ICONS = { call: Phone, email: Mail, offer: Gift };
export const CONTACT_TYPES: readonly ContactType[] = ['call', 'email', 'offer'];
export type ReachState = Schemas['Reach']['call'];

type Props = Omit<ContactTarget, 'type'> & {
  /** Whether the customer can be contacted, by kind. What is not known is left to the service. */
  reach?: Partial<Record<ContactType, ReachState>>;
  /** The kind that is recommended first; its button is the primary one. */
  primary?: ContactType | null | undefined;
  /** The buttons, in order. */
  types?: readonly ContactType[];
  size?: 'small' | 'middle';
};

/**
 * Call, email and offer for one customer. A button that cannot reach the customer stays in the order of the keyboard,
 * does nothing, and says why. Nothing is shown to a person who may not request actions.
 */
export function ContactActions({ reach, primary, types = CONTACT_TYPES, size = 'middle', ...whom }: Props) {
  const { t } = useTranslation();
  const { scopes } = useBoot();
  if (!can(scopes, 'actions:write')) return null;
  const name = whom.customer.name ?? t('contact.number', { id: whom.customer.id });
  return (
    <div className="contact-actions" role="group" aria-label={t('contact.group', { name })}>
      {types.map((type) => (
        <ContactButton
          key={type}
          type={type}
          name={name}
          state={reach?.[type] ?? 'ok'}
          isPrimary={type === primary}
          size={size}
          onOpen={() => openContact({ ...whom, type })}
        />
      ))}
    </div>
  );
}

type ButtonProps = {
  type: ContactType;
  name: string;
  state: ReachState;
  isPrimary: boolean;
  size: 'small' | 'middle';
  onOpen: () => void;
};

function ContactButton({ type, name, state, isPrimary, size, onOpen }: ButtonProps) {
  const { t } = useTranslation();
  const why = useId();
  const Icon = CONTACT_ICONS[type];
  const isReachable = state === 'ok';
  const shared = {
    size,
    icon: <Icon size={14} aria-hidden />,
    'aria-label': t(`contact.to.${type}`, { name }),
  };
  if (isReachable) {
    return (
      <Button {...shared} type={isPrimary ? 'primary' : 'default'} onClick={onOpen}>
        {t(`contact.${type}`)}
      </Button>
    );
  }
  const reason = t(`contact.reach.${type}.${state}`);
  return (
    <>
      <Tooltip title={reason} trigger={['hover', 'focus']}>
        <Button {...shared} className="unreachable" aria-disabled aria-describedby={why}>
          {t(`contact.${type}`)}
        </Button>
      </Tooltip>
      <span id={why} className="hidden">
        {reason}
      </span>
    </>
  );
}
