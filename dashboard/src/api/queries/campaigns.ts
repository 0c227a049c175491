import { infiniteQueryOptions, queryOptions } from '@tanstack/react-query';

import { api, dataOf, type Schemas } from '../client';

export type Campaign = Schemas['Campaign'];
export type CampaignSummary = Schemas['CampaignSummary'];

export const campaignSummaryQuery = () =>
  queryOptions({
    queryKey: ['campaigns', 'summary'],
    queryFn: ({ signal }) => dataOf(api.GET('/api/v1/campaigns/summary', { signal })),
  });

/** Campaigns that run, or that ended because the customer came back. */
export const campaignsQuery = (kind: 'running' | 'returned') =>
  infiniteQueryOptions({
    queryKey: ['campaigns', 'list', kind],
    queryFn: ({ pageParam, signal }) => {
      const filter = kind === 'running' ? { status: ['running' as const] } : { returned: true };
      const query = { ...filter, limit: 20, ...(pageParam === null ? {} : { cursor: pageParam }) };
      return dataOf(api.GET('/api/v1/campaigns', { params: { query }, signal }));
    },
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next_cursor,
  });
