import type { BulkRequest } from '../../api/mutations/actions';
import type { RiskQuery } from '../../api/queries/atRisk';
import { readBulkSearch, type BulkSearch } from '../../parts/bulk/bulkSearch';
import { readPageSearch, type PageSearch } from '../../parts/Pager';

export const SORTS = [
  ...(['-risk_score', 'risk_score', '-days_inactive', 'days_inactive'] as const),
  ...(['-lifetime_value', 'lifetime_value', '-expected_loss', 'expected_loss'] as const),
] as const;
export const DEFAULT_SORT = '-risk_score';
/** Choices of the filter of days since the last appointment. */
export const DAYS = [30, 60, 90, 120, 180] as const;

export type RiskChoice = { q?: string; stage?: string; owner?: string; days?: number; value?: number };
/** What the address says: the filter, the order, the page, and the bulk action whose progress is shown. */
export type RiskSearch = RiskChoice & PageSearch & BulkSearch & { sort?: (typeof SORTS)[number] };

// The router reads what looks like a number as one.
const textOf = (value: unknown): string => {
  if (typeof value === 'number') return String(value);
  return typeof value === 'string' ? value : '';
};
const wholeOf = (value: unknown): number | undefined =>
  typeof value === 'number' && Number.isInteger(value) && value > 0 ? value : undefined;

/** Reads the parameters of an address; what makes no sense is left out. */
export function readRiskSearch(search: Record<string, unknown>): RiskSearch {
  const sort = SORTS.find((each) => each === search.sort);
  const texts = { q: textOf(search.q), stage: textOf(search.stage), owner: textOf(search.owner) };
  const numbers = { days: wholeOf(search.days), value: wholeOf(search.value) };
  return {
    ...Object.fromEntries(Object.entries(texts).filter(([, value]) => value !== '')),
    ...Object.fromEntries(Object.entries(numbers).filter(([, value]) => value !== undefined)),
    ...readBulkSearch(search),
    ...(sort === undefined || sort === DEFAULT_SORT ? {} : { sort }),
    ...readPageSearch(search),
  };
}

/** Returns the parameters that the list takes for an address. */
export function riskQuery({ q, stage, owner, days, value, sort, cursor }: RiskSearch): RiskQuery {
  return {
    sort: sort ?? DEFAULT_SORT,
    ...(q === undefined ? {} : { q }),
    ...(stage === undefined ? {} : { stage: [stage] }),
    ...(owner === undefined ? {} : { owner }),
    ...(days === undefined ? {} : { days_min: days }),
    ...(value === undefined ? {} : { value_min: value }),
    ...(cursor === undefined ? {} : { cursor }),
  };
}

/** Returns the same filter for a bulk action: all customers of the list, shown or not. */
export function bulkFilter(choice: RiskChoice): NonNullable<BulkRequest['filter']> {
  const { sort: _, cursor: _cursor, limit: _limit, company_id: _company, ...filter } = riskQuery(choice);
  return filter;
}

export const countOfFilters = ({ q, stage, owner, days, value }: RiskChoice): number =>
  [q, stage, owner, days, value].filter((each) => each !== undefined).length;
