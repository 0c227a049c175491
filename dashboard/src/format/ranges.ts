import { addDays, daysBetween } from './formats';

export const PERIODS = ['week', 'month', 'quarter', 'year', 'all'] as const;
export type Period = (typeof PERIODS)[number];
/** What the address says: a period that ends today, or the first and the last day. */
export type RangeChoice = { period?: Period; from?: string; to?: string };
/** How the funnel counts: who entered a stage in these days, or who began in them. */
export const FUNNEL_MODES = ['reached', 'cohort'] as const;
export type FunnelMode = (typeof FUNNEL_MODES)[number];
export type Days = { from: string; to: string };

export const DEFAULT_PERIOD: Period = 'month';
const LENGTHS: Record<Exclude<Period, 'all'>, number> = { week: 7, month: 30, quarter: 90, year: 365 };
/** Days of daily metrics that one answer holds. */
export const MAX_METRIC_DAYS = 400;
const DAY = /^\d{4}-\d{2}-\d{2}$/;

const isDay = (value: unknown): value is string =>
  typeof value === 'string' && DAY.test(value) && !Number.isNaN(Date.parse(value));

/** Reads a choice from the parameters of an address; what is wrong there is left out. */
export function readRange(search: Record<string, unknown>): RangeChoice {
  if (isDay(search.from) && isDay(search.to) && search.from <= search.to)
    return { from: search.from, to: search.to };
  const period = PERIODS.find((each) => each === search.period);
  return period === undefined ? {} : { period };
}

/** Returns the parameters that the API takes for a choice. */
export function rangeQuery(choice: RangeChoice): { period: Period } | Days {
  if (choice.from !== undefined && choice.to !== undefined) return { from: choice.from, to: choice.to };
  return { period: choice.period ?? DEFAULT_PERIOD };
}

/** Returns the days of a choice; null for all days, whose first one only the API knows. */
export function daysOf(choice: RangeChoice, today: string): Days | null {
  const query = rangeQuery(choice);
  if ('from' in query) return query;
  return query.period === 'all' ? null : { from: addDays(today, 1 - LENGTHS[query.period]), to: today };
}

/** Returns the days of the same length directly before. */
export function daysBefore({ from, to }: Days): Days {
  return { from: addDays(from, -daysBetween(from, to)), to: addDays(from, -1) };
}

/** Returns the days whose daily metrics show a range: it, and the day before to compare with. */
export function metricDays(days: Days | null, today: string): Days {
  const yesterday = addDays(today, -1);
  const to = days === null || days.to > yesterday ? yesterday : days.to;
  const first = addDays(to, 1 - MAX_METRIC_DAYS);
  const from = days === null ? first : addDays(days.from, -1);
  if (from > to) return { from: to, to };
  return { from: from < first ? first : from, to };
}
