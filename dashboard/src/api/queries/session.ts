import { queryOptions } from '@tanstack/react-query';

import { api, dataOf, type Schemas } from '../client';

export type Session = Schemas['Session'];

const TEN_MINUTES = 600_000;

export const sessionQuery = () =>
  queryOptions({
    queryKey: ['session'],
    queryFn: ({ signal }) => dataOf(api.GET('/api/v1/session', { signal })),
    staleTime: TEN_MINUTES,
  });

export const signOut = () => api.DELETE('/api/v1/session');
