import { X } from 'lucide-react';
import { useTranslation } from 'react-i18next';

import { useFormats } from '../../format/useFormats';
import { useStageLook } from '../../parts/useStages';
import { filtersOf, type CustomersSearch, type Filters } from './search';
import type { ChangeSearch } from './useCustomersSearch';

type Chip = { key: string; text: string; off: Parameters<ChangeSearch>[0] };
type Props = { search: CustomersSearch; change: ChangeSearch; onClear: () => void };

/** The filters that are on, each with the way to take it off. A single stage is shown by its tab. */
export function FilterChips({ search, change, onClear }: Props) {
  const { t } = useTranslation();
  const chips = useChips()(filtersOf(search));
  if (chips.length === 0) return null;
  return (
    <div className="filter-chips">
      {chips.map(({ key, text, off }) => (
        <button
          key={key}
          type="button"
          className="filter-chip"
          title={t('customers.remove', { filter: text })}
          onClick={() => change(off)}
        >
          <bdi>{text}</bdi>
          <X size={13} aria-hidden />
        </button>
      ))}
      <button type="button" className="quiet-button" onClick={onClear}>
        {t('customers.clear')}
      </button>
    </div>
  );
}

function useChips(): (filters: Filters) => Chip[] {
  const { t } = useTranslation();
  const formats = useFormats();
  const lookOf = useStageLook();
  return (filters) => {
    const chips: Chip[] = [];
    const add = (key: keyof Filters, text: string) => chips.push({ key, text, off: { [key]: undefined } });
    const percent = (share: number) => formats.percent(Math.round(share * 100));
    if (filters.q !== undefined) add('q', t('customers.chip.q', { value: filters.q }));
    const stages = filters.stage?.split(',') ?? [];
    if (stages.length > 1) {
      for (const stage of stages) {
        const rest = stages.filter((each) => each !== stage).join(',');
        chips.push({ key: `stage ${stage}`, text: lookOf(stage).short, off: { stage: rest } });
      }
    }
    if (filters.risk_min !== undefined)
      add('risk_min', t('customers.chip.risk_min', { value: percent(filters.risk_min) }));
    if (filters.risk_max !== undefined)
      add('risk_max', t('customers.chip.risk_max', { value: percent(filters.risk_max) }));
    if (filters.inactive_days_min !== undefined)
      add(
        'inactive_days_min',
        t('customers.chip.inactive_days_min', { value: formats.int(filters.inactive_days_min) }),
      );
    if (filters.value_min !== undefined)
      add('value_min', t('customers.chip.value_min', { value: formats.money(filters.value_min) }));
    if (filters.value_max !== undefined)
      add('value_max', t('customers.chip.value_max', { value: formats.money(filters.value_max) }));
    if (filters.owner !== undefined) add('owner', t('customers.chip.owner', { value: filters.owner }));
    if (filters.pinned !== undefined)
      add('pinned', t(filters.pinned ? 'customers.onlyPinned' : 'customers.notPinned'));
    if (filters.consent_channel !== undefined && filters.consent_status !== undefined) {
      const text = t('customers.chip.consent', {
        channel: t(`customers.channel.${filters.consent_channel}`),
        status: t(`customers.consents.${filters.consent_status}`),
      });
      chips.push({ key: 'consent', text, off: { consent_channel: undefined, consent_status: undefined } });
    }
    return chips;
  };
}
