import { infiniteQueryOptions, queryOptions } from '@tanstack/react-query';

import { api, dataOf, type Schemas } from '../client';

export type DuplicateGroup = Schemas['DuplicateCustomers'];
export type SuspectedDuplicate = Schemas['SuspectedDuplicate'];
export type MergePreview = Schemas['CustomerMerge'];

const HALF_A_MINUTE = 30_000;
/** Groups of a page of the list. */
const PAGE = 50;

/** All suspected duplicates. A page may read a long index, so events of the stream do not make it old. */
export const duplicatesQuery = () =>
  infiniteQueryOptions({
    queryKey: ['duplicates', 'list'],
    queryFn: ({ signal, pageParam }) =>
      dataOf(
        api.GET('/api/v1/customers/duplicates', {
          params: { query: { limit: PAGE, ...(pageParam === undefined ? {} : { cursor: pageParam }) } },
          signal,
        }),
      ),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (page) => page.next_cursor ?? undefined,
    staleTime: HALF_A_MINUTE,
  });

/** The groups of suspected duplicates that one customer belongs to: at most one for each reason. */
export const duplicatesOfQuery = (id: number) =>
  queryOptions({
    queryKey: ['duplicates', 'one', id],
    queryFn: ({ signal }) =>
      dataOf(api.GET('/api/v1/customers/duplicates', { params: { query: { customer_id: id } }, signal })),
    staleTime: HALF_A_MINUTE,
  });

/** What a merge would do now, and the version that it is based on. It locks both customers, so it is read once only. */
export const mergePreviewQuery = (survivor: number, merged: number) =>
  queryOptions({
    queryKey: ['merge-preview', survivor, merged],
    queryFn: async ({ signal }) => {
      const answer = await api.GET('/api/v1/customers/{customer_id}/merge-preview', {
        params: { path: { customer_id: survivor }, query: { with: merged } },
        signal,
      });
      if (answer.data === undefined) throw new Error('The answer is empty.');
      return { ...answer.data, version: answer.response.headers.get('etag') ?? '' };
    },
    staleTime: Infinity,
    gcTime: 0,
  });
