import { queryOptions } from '@tanstack/react-query';

import { api, dataOf, type Schemas } from '../client';

export type Stage = Schemas['Stage'];

const TEN_MINUTES = 600_000;

export const stagesQuery = () =>
  queryOptions({
    queryKey: ['stages', 'map'],
    queryFn: ({ signal }) => dataOf(api.GET('/api/v1/stages', { signal })),
    staleTime: TEN_MINUTES,
  });
