import { queryOptions } from '@tanstack/react-query';

import { api, dataOf, type Schemas } from '../client';

export type Action = Schemas['Action'];

/** As many undelivered actions as the page of the day names. */
export const DEAD_SHOWN = 5;

/** The newest actions that could not be delivered. */
export const deadActionsQuery = () =>
  queryOptions({
    queryKey: ['actions', 'dead'],
    queryFn: ({ signal }) =>
      dataOf(
        api.GET('/api/v1/actions', { params: { query: { state: ['dead'], limit: DEAD_SHOWN } }, signal }),
      ),
  });
