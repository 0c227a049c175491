import { Button } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';

import type { ContactType } from '../../api/mutations/actions';
import { can } from '../../api/rights';
import { Bulk } from '../../parts/bulk/Bulk';
import { CONTACT_ICONS, CONTACT_TYPES } from '../../parts/contact/ContactActions';
import { useBoot } from '../../parts/useBoot';

/** So many customers can be named in one request. */
const MAX_CUSTOMERS = 10_000;
type Props = {
  /** Reads the rest of the list, and returns the ids of all its customers. */
  readAll: () => Promise<number[]>;
  /** Customers of the list, as far as it has been read. */
  shown: number;
};

/** A call, an email or an offer for every customer of the list, shown or not. */
export function ActOnAll({ readAll, shown }: Props) {
  const { t } = useTranslation();
  const { scopes } = useBoot();
  const [type, setType] = useState<ContactType | null>(null);
  const [reading, setReading] = useState<ContactType | null>(null);
  const [ids, setIds] = useState<number[]>([]);
  if (!can(scopes, 'actions:write')) return null;
  const start = async (chosen: ContactType) => {
    setReading(chosen);
    const all = await readAll();
    setReading(null);
    setIds(all);
    if (all.length > 0 && all.length <= MAX_CUSTOMERS) setType(chosen);
  };
  return (
    <>
      <Bulk
        type={type}
        whom={{ customer_ids: ids }}
        count={ids.length}
        onClose={() => setType(null)}
        onAccepted={() => setIds([])}
      />
      {shown > 0 && (
        <div className="act-on-all" role="group" aria-label={t('drill.actOnAll')}>
          <span>{t('drill.actOnAll')}</span>
          {CONTACT_TYPES.map((each) => {
            const Icon = CONTACT_ICONS[each];
            return (
              <Button
                key={each}
                icon={<Icon size={14} aria-hidden />}
                loading={reading === each}
                onClick={() => void start(each)}
              >
                {t(`contact.${each}`)}
              </Button>
            );
          })}
          {ids.length > MAX_CUSTOMERS && (
            <span className="fault" role="alert">
              {t('drill.tooMany', { count: MAX_CUSTOMERS })}
            </span>
          )}
        </div>
      )}
    </>
  );
}
