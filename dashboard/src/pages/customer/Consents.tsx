import { useTranslation } from 'react-i18next';

import type { Customer } from '../../api/queries/customer';
import { useFormats } from '../../format/useFormats';
import { useView } from './context';

export const CHANNELS = [
  'email',
  'sms',
  'call',
  'offer',
] as const satisfies readonly (keyof Customer['consents'])[];

/** Whether the customer may be contacted, by channel, and who said so. */
export function Consents() {
  const { t } = useTranslation();
  const formats = useFormats();
  const { consents } = useView().customer;
  return (
    <>
      <h3 className="sub">{t('customer.consents.title')}</h3>
      <dl className="figures">
        {CHANNELS.map((channel) => {
          const { status, at, source } = consents[channel];
          return (
            <div key={channel}>
              <dt>
                {t(`customer.consents.${channel}`)}
                {at != null && (
                  <small>
                    {t('customer.consents.at', { day: formats.instantDay(at), source: source ?? '' })}
                  </small>
                )}
              </dt>
              <dd className={status}>{t(`customer.consents.${status}`)}</dd>
            </div>
          );
        })}
      </dl>
    </>
  );
}
