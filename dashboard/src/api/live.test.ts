import { QueryClient } from '@tanstack/react-query';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';

import { changeOf, refresher } from './live';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

test('events refresh what they can change, each key at most once in two seconds', () => {
  const client = new QueryClient();
  const invalidate = vi.spyOn(client, 'invalidateQueries').mockResolvedValue();
  const refresh = refresher(client);
  for (let count = 0; count < 20; count += 1) refresh('task.changed');
  refresh('job.progress');
  refresh('unknown');
  expect(invalidate).not.toHaveBeenCalled();
  vi.advanceTimersByTime(2_000);

  const keys = () =>
    invalidate.mock.calls
      .map(([filter]) => filter?.queryKey?.[0] as string)
      .toSorted((a, b) => a.localeCompare(b));
  expect(keys()).toEqual(['atRisk', 'customers', 'jobs', 'tasks', 'today']);
  refresh('task.changed');
  vi.advanceTimersByTime(2_000);
  expect(keys()).toHaveLength(9);
});

const progress = (kind: string, status: string): string =>
  changeOf('job.progress', JSON.stringify({ type: 'job.progress', data: { kind, status } }));

test('a new churn model makes predictions old, and the progress of other jobs does not', () => {
  const fitted = progress('fit_churn_model', 'done');
  expect(progress('fit_churn_model', 'running')).toBe('job.progress');
  expect(progress('rescore', 'done')).toBe('job.progress');
  expect(changeOf('task.changed', '{}')).toBe('task.changed');

  const client = new QueryClient();
  const invalidate = vi.spyOn(client, 'invalidateQueries').mockResolvedValue();
  refresher(client)(fitted);
  vi.advanceTimersByTime(2_000);
  const keys = invalidate.mock.calls.map(([filter]) => filter?.queryKey?.[0]);
  expect(keys).toEqual(['jobs', 'analytics', 'customers', 'atRisk']);
});
