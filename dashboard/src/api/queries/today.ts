import { queryOptions } from '@tanstack/react-query';

import { api, dataOf, type Schemas } from '../client';

export type Today = Schemas['Today'];

/** How much there is to do, and the bounds of the company's day. */
export const todayQuery = () =>
  queryOptions({
    queryKey: ['today'],
    queryFn: ({ signal }) => dataOf(api.GET('/api/v1/today', { signal })),
  });

const MOVES = 8;

/** The customers who entered their stage last. */
export const latestMovesQuery = () =>
  queryOptions({
    queryKey: ['customers', 'latestMoves'],
    queryFn: ({ signal }) =>
      dataOf(
        api.GET('/api/v1/customers', {
          params: { query: { sort: '-stage_entered_at', limit: MOVES } },
          signal,
        }),
      ),
  });

/** The lifetime values of customers, by their ids. */
export const valuesQuery = (ids: readonly number[]) =>
  queryOptions({
    queryKey: ['customers', 'values', ids],
    queryFn: ({ signal }) =>
      dataOf(api.GET('/api/v1/customers', { params: { query: { ids: [...ids], limit: 200 } }, signal })),
    select: (page) => new Map(page.items.map((each) => [each.customer_id, each.journey.lifetime_value])),
  });
