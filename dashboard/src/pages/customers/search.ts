/** What the address of the list of customers says: parameters of the API, with stages joined by commas. */
import type { CustomersQuery } from '../../api/queries/customers';
import { readPageSearch, type PageSearch } from '../../parts/Pager';

const SORTS = [
  ...(['name', 'stage_entered_at', 'risk_score'] as const),
  ...(['last_appointment_at', 'lifetime_value', 'expected_loss'] as const),
] as const;
const CHANNELS = ['email', 'sms', 'call', 'offer'] as const;
const CONSENTS = ['granted', 'withdrawn', 'unknown'] as const;
/** Latest first: those without an appointment or a name come last, not first. */
export const DEFAULT_SORT = '-last_appointment_at';
export const LIMITS = [50, 100] as const;
export const CONSENT_CHANNELS = CHANNELS;
export const CONSENT_STATUSES = CONSENTS;

type Field = (typeof SORTS)[number];
/** Filters of the list; what a saved view keeps, except `q`. */
export type Filters = {
  q?: string;
  stage?: string;
  risk_min?: number;
  risk_max?: number;
  inactive_days_min?: number;
  value_min?: number;
  value_max?: number;
  owner?: string;
  pinned?: boolean;
  consent_channel?: (typeof CHANNELS)[number];
  consent_status?: (typeof CONSENTS)[number];
};
export type CustomersSearch = Filters & PageSearch & { sort?: Field | `-${Field}`; limit?: 100 };
export type Sort = NonNullable<CustomersSearch['sort']>;

const STAGE = /^[a-z][a-z0-9_]*(,[a-z][a-z0-9_]*)*$/;

/** Reads an address; what makes no sense there is left out. */
export function readCustomersSearch(search: Record<string, unknown>): CustomersSearch {
  const found = {
    q: text(search.q),
    stage: typeof search.stage === 'string' && STAGE.test(search.stage) ? search.stage : undefined,
    risk_min: within(search.risk_min, 0, 1),
    risk_max: within(search.risk_max, 0, 1),
    inactive_days_min: whole(within(search.inactive_days_min, 1, 36_500)),
    value_min: within(search.value_min, -1e12, 1e12),
    value_max: within(search.value_max, -1e12, 1e12),
    owner: text(search.owner),
    pinned: typeof search.pinned === 'boolean' ? search.pinned : undefined,
    ...consentOf(search),
    sort: SORTS.flatMap((field): Sort[] => [field, `-${field}`]).find((each) => each === search.sort),
    limit: search.limit === 100 ? (100 as const) : undefined,
    ...readPageSearch(search),
  };
  return withoutUndefined(found);
}

/** Returns the filter alone: without the order, the page, and its length. */
export function filtersOf(search: CustomersSearch): Filters {
  return omit(search, 'sort', 'limit', 'cursor', 'page');
}

/** Returns the parameters that the API takes. */
export function customersQueryOf(search: CustomersSearch): CustomersQuery {
  const { stage, sort = DEFAULT_SORT, limit = LIMITS[0], ...rest } = omit(search, 'page');
  return { ...rest, ...(stage === undefined ? {} : { stage: stage.split(',') }), sort, limit };
}

function text(value: unknown): string | undefined {
  // An address with `q=4711` is read as one with a number.
  if (typeof value !== 'string' && typeof value !== 'number') return undefined;
  const trimmed = String(value).trim().slice(0, 255);
  return trimmed === '' ? undefined : trimmed;
}

function within(value: unknown, low: number, high: number): number | undefined {
  return typeof value === 'number' && value >= low && value <= high ? value : undefined;
}

const whole = (value: number | undefined) => (value === undefined ? undefined : Math.trunc(value));

/** A channel means nothing without a status, and the other way round. */
function consentOf(search: Record<string, unknown>) {
  const channel = CHANNELS.find((each) => each === search.consent_channel);
  const status = CONSENTS.find((each) => each === search.consent_status);
  return channel === undefined || status === undefined
    ? {}
    : { consent_channel: channel, consent_status: status };
}

type Defined<T> = { [K in keyof T as undefined extends T[K] ? K : never]?: Exclude<T[K], undefined> } & {
  [K in keyof T as undefined extends T[K] ? never : K]: T[K];
};

/** Leaves out what is undefined, so that two addresses that mean the same are the same. */
export function withoutUndefined<T extends object>(object: T): Defined<T> {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined)) as Defined<T>;
}

export function omit<T extends object, K extends keyof T>(object: T, ...names: K[]): Omit<T, K> {
  const left = { ...object };
  for (const name of names) delete left[name];
  return left;
}
