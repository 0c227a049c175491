import { queryOptions } from '@tanstack/react-query';

import { api, dataOf, type Schemas } from '../client';
import type { paths } from '../schema';

export type RiskCustomer = Schemas['PortalRiskCustomer'];
export type RiskFilter = Schemas['RiskFilter'];
export type RiskQuery = NonNullable<paths['/portal/customers/at-risk']['get']['parameters']['query']>;

/** Rows of a page of the list. */
export const RISK_PAGE = 50;

export const atRiskQuery = (query: RiskQuery) =>
  queryOptions({
    queryKey: ['atRisk', 'list', query],
    queryFn: ({ signal }) =>
      dataOf(
        api.GET('/portal/customers/at-risk', { params: { query: { ...query, limit: RISK_PAGE } }, signal }),
      ),
  });
