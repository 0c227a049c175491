import { useTranslation } from 'react-i18next';

import { setConsent, type Channel, type Consent } from '../../api/mutations/customer';
import { can } from '../../api/rights';
import { useFormats } from '../../format/useFormats';
import { notify } from '../../parts/notices';
import { useBoot } from '../../parts/useBoot';
import { useOff, useView } from './context';
import { Fault } from './Fault';
import { useChange } from './useChange';

const CHANNELS = ['email', 'sms', 'call', 'offer'] as const satisfies readonly Channel[];
const STATUSES = ['granted', 'withdrawn', 'unknown'] as const satisfies readonly Consent[];

/** Whether the customer may be contacted, by channel, and who said so. */
export function Consents() {
  const { t } = useTranslation();
  const { id } = useView();
  const change = useChange(
    ({ channel, status }: { channel: Channel; status: Consent }) => setConsent(id, channel, status),
    (_, { channel, status }) =>
      notify(
        t('customer.told.consent', {
          channel: t(`customer.consents.${channel}`),
          status: t(`customer.consents.${status}`),
        }),
      ),
  );
  return (
    <>
      <h3 className="sub">{t('customer.consents.title')}</h3>
      <dl className="figures">
        {CHANNELS.map((channel) => (
          <Row
            key={channel}
            channel={channel}
            pending={
              change.isPending && change.variables.channel === channel ? change.variables.status : null
            }
            onChange={(status) => change.mutate({ channel, status })}
          />
        ))}
      </dl>
      <Fault error={change.error} />
    </>
  );
}

type RowProps = { channel: Channel; pending: Consent | null; onChange: (status: Consent) => void };

function Row({ channel, pending, onChange }: RowProps) {
  const { t } = useTranslation();
  const formats = useFormats();
  const { scopes } = useBoot();
  const off = useOff();
  const { status, at, source } = useView().customer.consents[channel];
  const name = t(`customer.consents.${channel}`);
  return (
    <div>
      <dt>
        {name}
        {at != null && (
          <small>{t('customer.consents.at', { day: formats.instantDay(at), source: source ?? '' })}</small>
        )}
      </dt>
      <dd className={status}>
        {can(scopes, 'customers:write') && off === null ? (
          <select
            className={`plain-select ${status}`}
            aria-label={t('customer.consents.change', { channel: name })}
            value={pending ?? status}
            disabled={pending !== null}
            onChange={(event) => onChange(event.target.value as Consent)}
          >
            {STATUSES.map((each) => (
              <option key={each} value={each}>
                {t(`customer.consents.${each}`)}
              </option>
            ))}
          </select>
        ) : (
          t(`customer.consents.${status}`)
        )}
      </dd>
    </div>
  );
}
