import { useTranslation } from 'react-i18next';

import type { Customer } from '../../api/queries/customer';
import { useFormats } from '../../format/useFormats';
import { useView } from './context';

type Value = Customer['attributes'][string];

const DAY = /^\d{4}-\d{2}-\d{2}$/;

/** What the company keeps about the customer beside the profile, by name. */
export function Attributes() {
  const { t } = useTranslation();
  const formats = useFormats();
  const { attributes } = useView().customer;
  const shown = (value: Value): string => {
    if (typeof value === 'number') return formats.exact(value);
    if (typeof value === 'boolean') return t(`customer.attributes.${value}`);
    return DAY.test(value) ? formats.day(value) : value;
  };
  const entries = Object.entries(attributes);
  if (entries.length === 0) return null;
  return (
    <>
      <h3 className="sub">{t('customer.attributes.title')}</h3>
      <dl className="figures">
        {entries.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>
              <bdi>{shown(value)}</bdi>
            </dd>
          </div>
        ))}
      </dl>
    </>
  );
}
