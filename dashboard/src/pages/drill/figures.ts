/** What each number counts: the list behind it, and the report that states the number. */
import { queryOptions } from '@tanstack/react-query';

import { api, dataOf, type Schemas } from '../../api/client';
import type { Figure } from '../../parts/drillTargets';
import { expectedOf, type Search } from './expected';

/** A customer behind a number, whatever the list that names it. */
export type CustomerRow = {
  id: number;
  /** The id as text, of a customer who has one. */
  reference: string | null;
  name: string | null;
  stage: string;
  stageName: string;
  since: string;
  value: number;
  risk: number;
  /** How often the number counts this customer. */
  times: number | null;
};
export type VisitRow = Schemas['StageVisit'];
export type DrillPage = { customers: CustomerRow[]; visits: VisitRow[]; next: string | null };

const PAGE = 100;
const LISTS: Record<Exclude<Figure, 'total' | 'visits'>, string> = {
  stage: 'distribution',
  funnel: 'funnel',
  flow: 'transitions',
  moved: 'overview',
  action: 'automation',
  risk: 'risk-distribution',
  cohort: 'cohorts',
};

/** Returns the path of the list behind a number; the list as CSV has the same with `.csv`. */
export function listPath(figure: Figure): string | null {
  if (figure === 'total') return null;
  if (figure === 'visits') return '/api/v1/analytics/time-in-stage/visits';
  return `/api/v1/analytics/${LISTS[figure]}/customers`;
}

export async function readPage(
  figure: Figure,
  search: Search,
  cursor: string | null,
  signal: AbortSignal,
): Promise<DrillPage> {
  const query = { ...search, limit: PAGE, ...(cursor === null ? {} : { cursor }) };
  if (figure === 'total') {
    const page = await dataOf(api.GET('/api/v1/customers', { params: { query }, signal }));
    return { customers: page.items.map(ofCustomer), visits: [], next: page.next_cursor };
  }
  if (figure === 'visits') {
    const params = { query: query as unknown as { stage: string } };
    const page = await dataOf(api.GET('/api/v1/analytics/time-in-stage/visits', { params, signal }));
    return { customers: [], visits: page.items, next: page.next_cursor };
  }
  // All these lists answer alike; the service checks the parameters of each.
  const path = listPath(figure) as '/api/v1/analytics/overview/customers';
  const page = await dataOf(api.GET(path, { params: { query }, signal }));
  return { customers: page.items.map(ofDrilldown), visits: [], next: page.next_cursor };
}

/** Returns the ids of the customers of a list, each once; erased ones are left out. */
export function customerIds(pages: readonly DrillPage[]): number[] {
  const ids = pages.flatMap(({ customers, visits }) => [
    ...customers.map(({ id }) => id),
    ...visits.map(({ customer_id: id }) => id),
  ]);
  return [...new Set(ids)].filter((id) => id >= 0).toSorted((a, b) => a - b);
}

function ofDrilldown(row: Schemas['DrilldownCustomer']): CustomerRow {
  return {
    id: row.customer_id,
    reference: row.customer_ref,
    name: row.customer_name,
    stage: row.current_stage,
    stageName: row.stage_name,
    since: row.stage_entered_at,
    value: row.lifetime_value,
    risk: row.risk_score,
    times: row.moves,
  };
}

function ofCustomer(row: Schemas['Customer']): CustomerRow {
  return {
    id: row.customer_id,
    reference: row.customer_ref,
    name: row.name,
    stage: row.journey.current_stage,
    stageName: row.journey.stage_name,
    since: row.journey.stage_entered_at,
    value: row.journey.lifetime_value,
    risk: row.journey.risk_score,
    times: null,
  };
}

const REPORTS: Record<Figure, string> = {
  total: 'overview',
  stage: 'distribution',
  funnel: 'funnel',
  flow: 'transitions',
  moved: 'overview',
  action: 'automation',
  visits: 'time-in-stage',
  risk: 'risk-distribution',
  cohort: 'cohorts',
};
const RANGE = ['period', 'from', 'to'];
/** Parameters that the report takes as well. */
const SHARED: Partial<Record<Figure, string[]>> = {
  total: [],
  stage: ['as_of'],
  risk: [],
  funnel: [...RANGE, 'mode', 'window_days'],
};

export function expectedQuery(figure: Figure, search: Search) {
  const names = SHARED[figure] ?? RANGE;
  const query = Object.fromEntries(Object.entries(search).filter(([name]) => names.includes(name)));
  if (figure === 'cohort') Object.assign(query, monthOf(String(search.cohort ?? '')));
  return queryOptions({
    queryKey: ['drill', 'expected', figure, search],
    queryFn: async ({ signal }) => {
      const path = `/api/v1/analytics/${REPORTS[figure]}` as '/api/v1/analytics/overview';
      const report: unknown = await dataOf(api.GET(path, { params: { query }, signal }));
      return expectedOf(figure, search, report);
    },
  });
}

/** Returns the first and the last day of a month. */
function monthOf(month: string): { from: string; to: string } | undefined {
  const [year, number] = month.split('-').map(Number);
  if (year === undefined || number === undefined) return undefined;
  return { from: `${month}-01`, to: new Date(Date.UTC(year, number, 0)).toISOString().slice(0, 10) };
}
