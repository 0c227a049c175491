import { QueryClient } from '@tanstack/react-query';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';

import { refresher } from './live';

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
