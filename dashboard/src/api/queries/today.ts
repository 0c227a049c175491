import { queryOptions } from '@tanstack/react-query';

import { api, dataOf } from '../client';

const HALF_A_MINUTE = 30_000;

export const todayQuery = () =>
  queryOptions({
    queryKey: ['today'],
    queryFn: ({ signal }) => dataOf(api.GET('/api/v1/today', { signal })),
    staleTime: HALF_A_MINUTE,
  });
