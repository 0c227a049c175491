import { queryOptions } from '@tanstack/react-query';

import type { Days, FunnelMode, Period } from '../../format/ranges';
import { api, dataOf, type Schemas } from '../client';

export type RangeQuery = { period: Period } | Days;
export type Overview = Schemas['Overview'];
export type Funnel = Schemas['Funnel'];
export type Flow = Schemas['Flow'];
export type StageTime = Schemas['StageTime'];
export type DailyMetric = Schemas['DailyMetric'];
export type CohortMonth = Schemas['CohortMonth'];
export type ConversionRate = Schemas['ConversionRate'];
export type RiskBand = Schemas['RiskBand'];
export type ActionOutcomes = Schemas['ActionOutcomes'];

const TEN_MINUTES = 600_000;
const HALF_A_MINUTE = 30_000;

const key = (kind: string, params: object = {}) => ['analytics', kind, params] as const;

export const overviewQuery = (query: RangeQuery) =>
  queryOptions({
    queryKey: key('overview', query),
    queryFn: ({ signal }) => dataOf(api.GET('/api/v1/analytics/overview', { params: { query }, signal })),
    staleTime: HALF_A_MINUTE,
  });

export const distributionQuery = (asOf: string | undefined) => {
  const query = asOf === undefined ? {} : { as_of: asOf };
  return queryOptions({
    queryKey: key('distribution', query),
    queryFn: ({ signal }) => dataOf(api.GET('/api/v1/analytics/distribution', { params: { query }, signal })),
    staleTime: asOf === undefined ? HALF_A_MINUTE : TEN_MINUTES,
  });
};

export const funnelQuery = (query: RangeQuery & { mode?: FunnelMode }) =>
  queryOptions({
    queryKey: key('funnel', query),
    queryFn: ({ signal }) => dataOf(api.GET('/api/v1/analytics/funnel', { params: { query }, signal })),
    staleTime: HALF_A_MINUTE,
  });

export const flowsQuery = (query: RangeQuery) =>
  queryOptions({
    queryKey: key('transitions', query),
    queryFn: ({ signal }) => dataOf(api.GET('/api/v1/analytics/transitions', { params: { query }, signal })),
    staleTime: HALF_A_MINUTE,
  });

export const conversionsQuery = (query: RangeQuery) =>
  queryOptions({
    queryKey: key('conversion-rates', query),
    queryFn: ({ signal }) =>
      dataOf(api.GET('/api/v1/analytics/conversion-rates', { params: { query }, signal })),
    staleTime: HALF_A_MINUTE,
  });

export const timesQuery = (query: RangeQuery) =>
  queryOptions({
    queryKey: key('time-in-stage', query),
    queryFn: ({ signal }) =>
      dataOf(api.GET('/api/v1/analytics/time-in-stage', { params: { query }, signal })),
    staleTime: HALF_A_MINUTE,
  });

export const metricsQuery = (query: Days) =>
  queryOptions({
    queryKey: key('metrics', query),
    queryFn: ({ signal }) => dataOf(api.GET('/api/v1/analytics/metrics', { params: { query }, signal })),
    staleTime: TEN_MINUTES,
  });

export const cohortsQuery = (query: RangeQuery) =>
  queryOptions({
    queryKey: key('cohorts', query),
    queryFn: ({ signal }) => dataOf(api.GET('/api/v1/analytics/cohorts', { params: { query }, signal })),
    staleTime: HALF_A_MINUTE,
  });

export const riskBandsQuery = () =>
  queryOptions({
    queryKey: key('risk-distribution'),
    queryFn: ({ signal }) => dataOf(api.GET('/api/v1/analytics/risk-distribution', { signal })),
    staleTime: HALF_A_MINUTE,
  });

export const automationQuery = (query: RangeQuery) =>
  queryOptions({
    queryKey: key('automation', query),
    queryFn: ({ signal }) => dataOf(api.GET('/api/v1/analytics/automation', { params: { query }, signal })),
    staleTime: HALF_A_MINUTE,
  });

/** Returns the address of the CSV of a report. */
export function csvHref(report: string, query: object = {}): string {
  const parameters = new URLSearchParams(query as Record<string, string>).toString();
  return `/api/v1/analytics/${report}.csv${parameters === '' ? '' : `?${parameters}`}`;
}
