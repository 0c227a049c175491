import { useQuery } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';

import { peopleQuery } from '../../api/queries/people';
import { can } from '../../api/rights';
import { StageChip } from '../../parts/StageChip';
import { useBoot } from '../../parts/useBoot';
import { useStages } from '../../parts/useStages';
import { ChoiceField, NumberField } from './fields';
import { CONSENT_CHANNELS, CONSENT_STATUSES, type CustomersSearch } from './search';
import type { ChangeSearch } from './useCustomersSearch';

type Props = { search: CustomersSearch; change: ChangeSearch };

/** Every filter of the list. Each acts at once and is a part of the address. */
export function FilterForm({ search, change }: Props) {
  const { t } = useTranslation();
  const { company } = useBoot();
  const { currency } = company;
  return (
    <div className="filter-form">
      <StageFilter search={search} change={change} />
      <NumberField
        label={t('customers.riskFrom')}
        value={percentOf(search.risk_min)}
        min={0}
        max={100}
        onChange={(value) => change({ risk_min: shareOf(value) })}
      />
      <NumberField
        label={t('customers.riskTo')}
        value={percentOf(search.risk_max)}
        min={0}
        max={100}
        onChange={(value) => change({ risk_max: shareOf(value) })}
      />
      <NumberField
        label={t('customers.awayFrom')}
        value={search.inactive_days_min}
        min={1}
        max={36_500}
        step={1}
        onChange={(value) => change({ inactive_days_min: value })}
      />
      <NumberField
        label={t('customers.valueFrom', { currency })}
        value={search.value_min}
        onChange={(value) => change({ value_min: value })}
      />
      <NumberField
        label={t('customers.valueTo', { currency })}
        value={search.value_max}
        onChange={(value) => change({ value_max: value })}
      />
      <OwnerFilter search={search} change={change} />
      <ChoiceField
        label={t('customers.pin')}
        value={search.pinned === undefined ? '' : String(search.pinned)}
        options={[
          { value: '', label: t('customers.any') },
          { value: 'true', label: t('customers.onlyPinned') },
          { value: 'false', label: t('customers.notPinned') },
        ]}
        onChange={(value) => change({ pinned: value === '' ? undefined : value === 'true' })}
      />
      <ConsentFilter search={search} change={change} />
    </div>
  );
}

const percentOf = (share: number | undefined) => (share === undefined ? undefined : Math.round(share * 100));
const shareOf = (percent: number | undefined) => (percent === undefined ? undefined : percent / 100);

function StageFilter({ search, change }: Props) {
  const { t } = useTranslation();
  const stages = useStages() ?? [];
  const chosen = search.stage?.split(',') ?? [];
  const toggle = (key: string) => {
    const next = chosen.includes(key) ? chosen.filter((each) => each !== key) : [...chosen, key];
    change({ stage: next.length === 0 ? undefined : next.join(',') });
  };
  return (
    <fieldset className="stage-filter">
      <legend>{t('customers.stages')}</legend>
      {stages.map((stage) => (
        <label key={stage.key}>
          <input type="checkbox" checked={chosen.includes(stage.key)} onChange={() => toggle(stage.key)} />
          <StageChip stage={stage} isShort />
        </label>
      ))}
    </fieldset>
  );
}

/** Only persons who may read tasks may read who there is. */
function OwnerFilter({ search, change }: Props) {
  const { t } = useTranslation();
  const { scopes } = useBoot();
  const isAllowed = can(scopes, 'actions:read');
  const people = useQuery({ ...peopleQuery(), enabled: isAllowed }).data?.items ?? [];
  if (!isAllowed) return null;
  const names = [
    ...new Set([...people.map(({ name }) => name), ...(search.owner === undefined ? [] : [search.owner])]),
  ];
  return (
    <ChoiceField
      label={t('customers.owner')}
      value={search.owner ?? ''}
      options={[
        { value: '', label: t('customers.anyone') },
        ...names.map((name) => ({ value: name, label: name })),
      ]}
      onChange={(value) => change({ owner: value === '' ? undefined : value })}
    />
  );
}

function ConsentFilter({ search, change }: Props) {
  const { t } = useTranslation();
  const { consent_channel: channel, consent_status: status } = search;
  return (
    <>
      <ChoiceField
        label={t('customers.consent')}
        value={channel ?? ''}
        options={[
          { value: '', label: t('customers.any') },
          ...CONSENT_CHANNELS.map((each) => ({ value: each, label: t(`customers.channel.${each}`) })),
        ]}
        onChange={(value) => {
          const next = CONSENT_CHANNELS.find((each) => each === value);
          change({
            consent_channel: next,
            consent_status: next === undefined ? undefined : (status ?? 'granted'),
          });
        }}
      />
      {channel !== undefined && (
        <ChoiceField
          label={t('customers.consentStatus')}
          value={status ?? 'granted'}
          options={CONSENT_STATUSES.map((each) => ({ value: each, label: t(`customers.consents.${each}`) }))}
          onChange={(value) => change({ consent_status: CONSENT_STATUSES.find((each) => each === value) })}
        />
      )}
    </>
  );
}
