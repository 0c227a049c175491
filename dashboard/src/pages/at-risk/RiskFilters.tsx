import { useQuery } from '@tanstack/react-query';
import { Button, Input } from 'antd';
import { Search, SlidersHorizontal } from 'lucide-react';
import { useEffect, useId, useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';

import { peopleQuery } from '../../api/queries/people';
import { useFormats } from '../../format/useFormats';
import { useMedia } from '../../look/media';
import { SelectField } from '../../parts/SelectField';
import { useShortcut } from '../../parts/shortcuts';
import { useStages } from '../../parts/useStages';
import { countOfFilters, DAYS, type RiskChoice, type RiskSearch } from './riskSearch';

type Props = { search: RiskSearch; onChange: (search: RiskSearch) => void };

const TYPING_MS = 300;

/** What the list is narrowed to. All of it is in the address. */
export function RiskFilters({ search, onChange }: Props) {
  const { t } = useTranslation();
  const isNarrow = useMedia('(max-width: 900px)');
  const [isOpen, setOpen] = useState(false);
  const fields = useId();
  const { sort } = search;
  const change = (next: Partial<Record<keyof RiskChoice, string | number | undefined>>) => {
    const { cursor: _, page: _page, job: _job, ...kept } = search;
    const merged = { ...kept, ...next };
    onChange(Object.fromEntries(Object.entries(merged).filter(([, value]) => value !== undefined)));
  };
  const count = countOfFilters(search);
  const clear = () => onChange(sort === undefined ? {} : { sort });
  useShortcut('Escape', t('atRisk.clearFilters'), clear, { isOn: count > 0, group: 'list' });
  return (
    <div className="filters" role="search" aria-label={t('atRisk.filters')}>
      <SearchBox text={search.q ?? ''} onChange={(q) => change({ q: q === '' ? undefined : q })} />
      {isNarrow && (
        <Button
          icon={<SlidersHorizontal size={15} aria-hidden />}
          aria-expanded={isOpen}
          aria-controls={fields}
          onClick={() => setOpen(!isOpen)}
        >
          {t('atRisk.filterCount', { count: count - (search.q === undefined ? 0 : 1) })}
        </Button>
      )}
      <div id={fields} className="filter-fields" hidden={isNarrow && !isOpen}>
        <Choices search={search} onChange={change} />
        {count > 0 && (
          <Button type="text" onClick={clear}>
            {t('atRisk.clearFilters')}
          </Button>
        )}
      </div>
    </div>
  );
}

const textOf = (value: string) => (value === '' ? undefined : value);
const numberOf = (value: string) => (value === '' ? undefined : Number(value));

type ChoicesProps = {
  search: RiskChoice;
  onChange: (next: Partial<Record<keyof RiskChoice, string | number | undefined>>) => void;
};

function Choices({ search, onChange }: ChoicesProps) {
  const { t } = useTranslation();
  const formats = useFormats();
  const stages = useStages() ?? [];
  const people = useQuery(peopleQuery()).data?.items ?? [];
  const names = new Set([
    ...people.map(({ name }) => name),
    ...(search.owner === undefined ? [] : [search.owner]),
  ]);
  const days = new Set<number>([...DAYS, ...(search.days === undefined ? [] : [search.days])]);
  return (
    <>
      <SelectField
        label={t('atRisk.stage')}
        value={search.stage ?? ''}
        options={[
          { value: '', label: t('atRisk.anyStage') },
          ...stages.map(({ key, name }) => ({ value: key, label: name })),
        ]}
        onChange={(value) => onChange({ stage: textOf(value) })}
      />
      <SelectField
        label={t('atRisk.owner')}
        value={search.owner ?? ''}
        options={[
          { value: '', label: t('atRisk.anyOwner') },
          ...[...names].map((name) => ({ value: name, label: name })),
        ]}
        onChange={(value) => onChange({ owner: textOf(value) })}
      />
      <SelectField
        label={t('atRisk.daysAway')}
        value={String(search.days ?? '')}
        options={[
          { value: '', label: t('atRisk.anyDays') },
          ...[...days]
            .toSorted((a, b) => a - b)
            .map((each) => ({ value: String(each), label: t('atRisk.daysMin', { count: each }) })),
        ]}
        onChange={(value) => onChange({ days: numberOf(value) })}
      />
      <ValueBox
        value={search.value}
        label={t('atRisk.valueMin', { currency: formats.currency })}
        onChange={(value) => onChange({ value })}
      />
    </>
  );
}

type BoxProps = { text: string; onChange: (text: string) => void };

/** The text to search for; what is typed takes effect after a short pause. */
function SearchBox({ text, onChange }: BoxProps) {
  const { t } = useTranslation();
  const box = useRef<HTMLInputElement>(null);
  const [typed, setTyped] = useState<string | null>(null);
  const latest = useRef(onChange);
  useEffect(() => {
    latest.current = onChange;
  });
  useEffect(() => {
    if (typed === null) return undefined;
    const timer = setTimeout(() => {
      latest.current(typed.trim());
      setTyped(null);
    }, TYPING_MS);
    return () => clearTimeout(timer);
  }, [typed]);
  useShortcut('/', t('atRisk.search'), () => box.current?.focus(), { group: 'list' });
  return (
    <span className="search-box">
      <Search size={15} aria-hidden />
      <input
        ref={box}
        type="search"
        aria-label={t('atRisk.search')}
        placeholder={t('atRisk.searchHint')}
        value={typed ?? text}
        maxLength={200}
        onChange={(event) => setTyped(event.target.value)}
      />
    </span>
  );
}

type ValueProps = { value: number | undefined; label: string; onChange: (value: number | undefined) => void };

function ValueBox({ value, label, onChange }: ValueProps) {
  const [typed, setTyped] = useState<string | null>(null);
  const take = () => {
    if (typed === null) return;
    const number = Math.round(Number(typed));
    onChange(typed.trim() === '' || Number.isNaN(number) || number <= 0 ? undefined : number);
    setTyped(null);
  };
  return (
    <Input
      className="value-box"
      type="number"
      min={0}
      inputMode="numeric"
      aria-label={label}
      placeholder={label}
      value={typed ?? value ?? ''}
      onChange={(event) => setTyped(event.target.value)}
      onBlur={take}
      onPressEnter={take}
    />
  );
}
