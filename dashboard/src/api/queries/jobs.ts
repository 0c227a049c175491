import { queryOptions } from '@tanstack/react-query';

import { api, dataOf, type Schemas } from '../client';

export type Job = Schemas['Job'];

const ASK_AGAIN_MS = 1_500;

export const isOver = (job: Job | undefined): boolean => job?.status === 'done' || job?.status === 'failed';

/** A bulk action: its progress, and then the customers by what has happened for them. */
export const bulkJobQuery = (jobId: number) =>
  queryOptions({
    queryKey: ['jobs', 'bulk', jobId],
    queryFn: ({ signal }) =>
      dataOf(api.GET('/api/v1/actions/bulk/{job_id}', { params: { path: { job_id: jobId } }, signal })),
    refetchInterval: (query) => (isOver(query.state.data) ? false : ASK_AGAIN_MS),
  });

export const jobQuery = (jobId: number) =>
  queryOptions({
    queryKey: ['jobs', 'one', jobId],
    queryFn: ({ signal }) =>
      dataOf(api.GET('/api/v1/admin/jobs/{job_id}', { params: { path: { job_id: jobId } }, signal })),
    refetchInterval: (query) => (isOver(query.state.data) ? false : ASK_AGAIN_MS),
  });
