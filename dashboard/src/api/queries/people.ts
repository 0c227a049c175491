import { queryOptions } from '@tanstack/react-query';

import { api, dataOf } from '../client';

const TEN_MINUTES = 600_000;

export const peopleQuery = () =>
  queryOptions({
    queryKey: ['people'],
    queryFn: ({ signal }) => dataOf(api.GET('/api/v1/people', { signal })),
    staleTime: TEN_MINUTES,
  });
