import { useRef } from 'react';
import { useTranslation } from 'react-i18next';

import type { ContactType } from '../../api/mutations/actions';
import type { RiskCustomer } from '../../api/queries/atRisk';
import { can } from '../../api/rights';
import { openContact } from '../../parts/contact/contactTarget';
import { notify } from '../../parts/notices';
import { useShortcut } from '../../parts/shortcuts';
import { useBoot } from '../../parts/useBoot';

/** Has c, e and f call, write to, or make an offer to the customer of the row with the focus. */
export function useRowContact(rows: readonly RiskCustomer[]) {
  const { t } = useTranslation();
  const { scopes } = useBoot();
  const section = useRef<HTMLElement>(null);
  const isOn = can(scopes, 'actions:write');
  const contact = (type: ContactType) => {
    const all = [...(section.current?.querySelectorAll('tbody tr') ?? [])];
    const row = rows[all.findIndex((each) => each.contains(document.activeElement))];
    if (row === undefined) return;
    const state = row.reach[type];
    if (state !== 'ok') {
      notify(t(`contact.reach.${type}.${state}`), { kind: 'bad' });
      return;
    }
    openContact({ customer: { id: row.id, name: row.name }, type, openTask: row.open_task });
  };
  useShortcut('c', t('atRisk.keyCall'), () => contact('call'), { isOn, group: 'list' });
  useShortcut('e', t('atRisk.keyEmail'), () => contact('email'), { isOn, group: 'list' });
  useShortcut('f', t('atRisk.keyOffer'), () => contact('offer'), { isOn, group: 'list' });
  return section;
}
