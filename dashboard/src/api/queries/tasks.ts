import { infiniteQueryOptions } from '@tanstack/react-query';

import { api, dataOf, type Schemas } from '../client';
import type { paths } from '../schema';

export type Task = Schemas['Task'];
export type TaskQuery = NonNullable<paths['/api/v1/tasks']['get']['parameters']['query']>;

const TASK_PAGE = 20;

/** Tasks page by page, with their number. */
export const tasksQuery = (query: TaskQuery) =>
  infiniteQueryOptions({
    queryKey: ['tasks', 'list', query],
    queryFn: ({ pageParam, signal }) => {
      const page = pageParam === null ? {} : { cursor: pageParam };
      const all = { limit: TASK_PAGE, count: true, ...query, ...page };
      return dataOf(api.GET('/api/v1/tasks', { params: { query: all }, signal }));
    },
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next_cursor,
  });
