import { expect, test } from 'vitest';

import type { DailyMetric } from '../api/queries/analytics';
import { daysOfMetrics, rolling, thin } from './stageSeries';

const metric = (day: string, stage: string, customers: number, revenue = 0): DailyMetric => ({
  metric_date: day,
  last_date: day,
  stage_key: stage,
  stage_name: stage,
  customer_count: customers,
  revenue,
  avg_time_in_stage: null,
  conversion_rate: null,
  ended_visits: 0,
  computed_at: `${day}T02:00:00Z`,
  revision: 1,
});

test('the metrics of a day become one row, in order of the days', () => {
  const rows = daysOfMetrics([
    metric('2026-01-02', 'lead', 4, 10),
    metric('2026-01-01', 'lead', 3),
    metric('2026-01-02', 'vip', 2, 5),
  ]);

  expect(rows.map((row) => row.day)).toEqual(['2026-01-01', '2026-01-02']);
  expect(rows[1]).toEqual({ day: '2026-01-02', counts: { lead: 4, vip: 2 }, total: 6, revenue: 15 });
});

test('a long series keeps its ends', () => {
  const days = Array.from({ length: 1_000 }, (_, index) => index);

  expect(thin(days, 400)).toHaveLength(400);
  expect(thin(days, 400).at(0)).toBe(0);
  expect(thin(days, 400).at(-1)).toBe(999);
  expect(thin(days.slice(0, 3), 400)).toEqual([0, 1, 2]);
});

test('a rolling sum begins with the first full window', () => {
  expect(rolling([1, 2, 3, 4], 2)).toEqual([3, 5, 7]);
  expect(rolling([1], 2)).toEqual([]);
});
