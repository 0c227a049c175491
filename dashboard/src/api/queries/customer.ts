import { infiniteQueryOptions, queryOptions } from '@tanstack/react-query';

import { api, dataOf, type Schemas } from '../client';

export type Customer = Schemas['CustomerDetail'];
export type Journey = Schemas['Journey'];
export type Explanation = Schemas['Explanation'];
export type StagePath = Schemas['StagePath'];
export type UpcomingMove = Schemas['UpcomingMove'];
export type Transition = Schemas['Transition'];
export type StageResult = Schemas['StageResult'];
export type CustomerEvent = Schemas['CustomerEvent'];
export type Booking = Schemas['Booking'];
export type Action = Schemas['Action'];
export type Task = Schemas['Task'];
export type Campaign = Schemas['Campaign'];
export type CustomerScores = Schemas['CustomerScores'];
export type Score = Schemas['Score'];
export type ScorePoint = Schemas['ScorePoint'];

const HALF_A_MINUTE = 30_000;
const TEN_MINUTES = 600_000;
/** Rows of a page of the timeline. */
const PAGE = 50;
/** Open tasks and running campaigns of one customer; nobody has more. */
const OPEN = 50;

/** What is read of one customer; an event of the stream makes all of it old. */
export const customerKey = (id: number, kind: string, params: object = {}) =>
  ['customers', 'one', id, kind, params] as const;

const at = (instant: string | undefined) => (instant === undefined ? {} : { as_of: instant });
/** The past does not change while somebody looks at it. */
const stale = (instant: string | undefined) => (instant === undefined ? HALF_A_MINUTE : TEN_MINUTES);

export const customerQuery = (id: number) =>
  queryOptions({
    queryKey: customerKey(id, 'profile'),
    queryFn: ({ signal }) =>
      dataOf(api.GET('/api/v1/customers/{customer_id}', { params: { path: { customer_id: id } }, signal })),
    staleTime: HALF_A_MINUTE,
  });

/** The journey at the end of a past day. */
export const journeyQuery = (id: number, instant: string | undefined) =>
  queryOptions({
    queryKey: customerKey(id, 'journey', at(instant)),
    queryFn: ({ signal }) =>
      dataOf(
        api.GET('/api/v1/customers/{customer_id}/journey', {
          params: { path: { customer_id: id }, query: at(instant) },
          signal,
        }),
      ),
    staleTime: stale(instant),
  });

export const explanationQuery = (id: number, instant: string | undefined) =>
  queryOptions({
    queryKey: customerKey(id, 'explanation', at(instant)),
    queryFn: ({ signal }) =>
      dataOf(
        api.GET('/api/v1/customers/{customer_id}/explanation', {
          params: { path: { customer_id: id }, query: at(instant) },
          signal,
        }),
      ),
    staleTime: stale(instant),
  });

export const scoresQuery = (id: number, instant: string | undefined) =>
  queryOptions({
    queryKey: customerKey(id, 'scores', at(instant)),
    queryFn: ({ signal }) =>
      dataOf(
        api.GET('/api/v1/customers/{customer_id}/scores', {
          params: { path: { customer_id: id }, query: at(instant) },
          signal,
        }),
      ),
    staleTime: stale(instant),
  });

/** Both scores at the end of each week of the year that ends with a day. */
export const scoreHistoryQuery = (id: number, to: string | undefined) =>
  queryOptions({
    queryKey: customerKey(id, 'score-history', { to }),
    queryFn: ({ signal }) =>
      dataOf(
        api.GET('/api/v1/customers/{customer_id}/scores/history', {
          params: {
            path: { customer_id: id },
            query: { step: 'week' as const, ...(to === undefined ? {} : { to }) },
          },
          signal,
        }),
      ),
    staleTime: TEN_MINUTES,
  });

const paged = (cursor: string | undefined) => ({ limit: PAGE, ...(cursor === undefined ? {} : { cursor }) });
const first: string | undefined = undefined as string | undefined;

export const transitionsQuery = (id: number) =>
  infiniteQueryOptions({
    queryKey: customerKey(id, 'transitions'),
    queryFn: ({ signal, pageParam }) =>
      dataOf(
        api.GET('/api/v1/customers/{customer_id}/transitions', {
          params: { path: { customer_id: id }, query: paged(pageParam) },
          signal,
        }),
      ),
    initialPageParam: first,
    getNextPageParam: (page) => page.next_cursor ?? undefined,
    staleTime: HALF_A_MINUTE,
  });

export const eventsQuery = (id: number) =>
  infiniteQueryOptions({
    queryKey: customerKey(id, 'events'),
    queryFn: ({ signal, pageParam }) =>
      dataOf(
        api.GET('/api/v1/customers/{customer_id}/events', {
          params: { path: { customer_id: id }, query: paged(pageParam) },
          signal,
        }),
      ),
    initialPageParam: first,
    getNextPageParam: (page) => page.next_cursor ?? undefined,
    staleTime: HALF_A_MINUTE,
  });

export const customerActionsQuery = (id: number) =>
  infiniteQueryOptions({
    queryKey: customerKey(id, 'actions'),
    queryFn: ({ signal, pageParam }) =>
      dataOf(
        api.GET('/api/v1/actions', { params: { query: { customer_id: id, ...paged(pageParam) } }, signal }),
      ),
    initialPageParam: first,
    getNextPageParam: (page) => page.next_cursor ?? undefined,
    staleTime: HALF_A_MINUTE,
  });

export const openTasksQuery = (id: number) =>
  queryOptions({
    queryKey: customerKey(id, 'tasks'),
    queryFn: ({ signal }) =>
      dataOf(api.GET('/api/v1/tasks', { params: { query: { customer_id: id, limit: OPEN } }, signal })),
    staleTime: HALF_A_MINUTE,
  });

export const runningCampaignsQuery = (id: number) =>
  queryOptions({
    queryKey: customerKey(id, 'campaigns'),
    queryFn: ({ signal }) =>
      dataOf(
        api.GET('/api/v1/campaigns', {
          params: { query: { customer_id: id, status: ['running'], limit: OPEN } },
          signal,
        }),
      ),
    staleTime: HALF_A_MINUTE,
  });
