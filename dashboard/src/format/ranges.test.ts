import { expect, test } from 'vitest';

import { daysBefore, daysOf, metricDays, rangeQuery, readRange } from './ranges';

const TODAY = '2026-11-29';

test('an address with a period, with days, or with neither is understood', () => {
  expect(readRange({ period: 'year' })).toEqual({ period: 'year' });
  expect(readRange({ from: '2026-01-01', to: '2026-01-31' })).toEqual({
    from: '2026-01-01',
    to: '2026-01-31',
  });
  expect(readRange({})).toEqual({});
});

test.each([
  { period: 'century' },
  { from: '2026-01-31', to: '2026-01-01' },
  { from: '2026-13-01', to: 'x' },
  { from: 1 },
])('what makes no sense in an address is left out: %o', (search) => {
  expect(readRange(search)).toEqual({});
  expect(rangeQuery(readRange(search))).toEqual({ period: 'month' });
});

test('a period has as many days as the API counts, and the one before it directly precedes it', () => {
  const days = daysOf({ period: 'week' }, TODAY);
  expect(days).toEqual({ from: '2026-11-23', to: TODAY });
  expect(daysBefore({ from: '2026-11-23', to: TODAY })).toEqual({ from: '2026-11-16', to: '2026-11-22' });
  expect(daysOf({ period: 'all' }, TODAY)).toBeNull();
});

test('daily metrics end yesterday, begin with the day before the range, and are never too many', () => {
  expect(metricDays({ from: '2026-11-23', to: TODAY }, TODAY)).toEqual({
    from: '2026-11-22',
    to: '2026-11-28',
  });
  expect(metricDays({ from: '2020-01-01', to: TODAY }, TODAY)).toEqual({
    from: '2025-10-25',
    to: '2026-11-28',
  });
  expect(metricDays(null, TODAY).from).toBe('2025-10-25');
  expect(metricDays({ from: TODAY, to: TODAY }, TODAY)).toEqual({ from: '2026-11-28', to: '2026-11-28' });
});
