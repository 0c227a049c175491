import { Button, Tooltip } from 'antd';
import { Waypoints } from 'lucide-react';
import { lazy, Suspense, useState } from 'react';
import { useTranslation } from 'react-i18next';

import { can } from '../../api/rights';
import { useCommands } from '../../parts/commands';
import {
  CONTACT_ICONS,
  CONTACT_TYPES,
  ContactActions,
  type ReachState,
} from '../../parts/contact/ContactActions';
import { openContact } from '../../parts/contact/contactTarget';
import { useShortcut } from '../../parts/shortcuts';
import { useBoot } from '../../parts/useBoot';
import { useOff, useView } from './context';
import { More } from './More';

export type DialogName = 'move' | 'pin' | 'erase';

// Dialogs are seldom opened.
const DIALOGS = {
  move: lazy(() => import('./MoveDialog')),
  pin: lazy(() => import('./PinDialog')),
  erase: lazy(() => import('./EraseDialog')),
};

/** What can be done for the customer: contact, move, and seldom things in a menu. */
export function Actions() {
  const { t } = useTranslation();
  const { scopes } = useBoot();
  const off = useOff();
  const { id, customer, name } = useView();
  const [dialog, open] = useState<DialogName | null>(null);
  const mayMove = can(scopes, 'journeys:write');
  const isOn = off === null;
  const mayContact = isOn && can(scopes, 'actions:write');
  const whom = { customer: { id, name: customer.name }, openTask: customer.open_task };
  const move = { key: 'move', label: t('customer.move'), icon: Waypoints, run: () => open('move') };
  const contact = CONTACT_TYPES.filter((type) => mayContact && customer.reach[type] === 'ok').map((type) => ({
    key: type,
    label: t(`contact.${type}`),
    icon: CONTACT_ICONS[type],
    run: () => openContact({ ...whom, type }),
  }));
  useShortcut('m', move.label, move.run, { isOn: isOn && mayMove });
  useCommands(name, [...contact, ...(isOn && mayMove ? [move] : [])]);
  const Dialog = dialog === null ? null : DIALOGS[dialog];
  return (
    <div className="customer-actions">
      {isOn && <ContactActions {...whom} reach={customer.reach} />}
      {mayContact && <ContactKeys reach={customer.reach} whom={whom} />}
      {mayMove && (
        <Tooltip title={off}>
          <Button
            type="primary"
            icon={<Waypoints size={15} aria-hidden />}
            disabled={!isOn}
            onClick={move.run}
          >
            {move.label}
          </Button>
        </Tooltip>
      )}
      <More onOpen={open} />
      {Dialog !== null && (
        <Suspense>
          <Dialog onClose={() => open(null)} />
        </Suspense>
      )}
    </div>
  );
}

type KeysProps = {
  reach: Record<'call' | 'email' | 'offer', ReachState>;
  whom: Omit<Parameters<typeof openContact>[0], 'type'>;
};

/** The keys `c`, `e` and `f`, as far as the customer can be reached. */
function ContactKeys({ reach, whom }: KeysProps) {
  const { t } = useTranslation();
  const use = (keys: string, type: 'call' | 'email' | 'offer') => ({
    keys,
    label: t(`contact.${type}`),
    run: () => openContact({ ...whom, type }),
    isOn: reach[type] === 'ok',
  });
  const [call, email, offer] = [use('c', 'call'), use('e', 'email'), use('f', 'offer')];
  useShortcut(call.keys, call.label, call.run, { isOn: call.isOn });
  useShortcut(email.keys, email.label, email.run, { isOn: email.isOn });
  useShortcut(offer.keys, offer.label, offer.run, { isOn: offer.isOn });
  return null;
}
