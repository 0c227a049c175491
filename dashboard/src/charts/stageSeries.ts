/** Daily metrics as one row a day, with the customers of every stage. */
import type { DailyMetric } from '../api/queries/analytics';

export type DayRow = { day: string; counts: Record<string, number>; total: number; revenue: number };

/** Returns the days in order. A stage without a metric on a day had no customers. */
export function daysOfMetrics(items: readonly DailyMetric[]): DayRow[] {
  const rows = new Map<string, DayRow>();
  for (const item of items) {
    const row = rows.get(item.metric_date) ?? { day: item.metric_date, counts: {}, total: 0, revenue: 0 };
    row.counts[item.stage_key] = item.customer_count;
    row.total += item.customer_count;
    row.revenue += item.revenue;
    rows.set(item.metric_date, row);
  }
  return [...rows.values()].toSorted((a, b) => a.day.localeCompare(b.day));
}

/** Returns at most so many rows, evenly spread, with the first and the last. */
export function thin<T>(rows: readonly T[], most: number): T[] {
  if (rows.length <= most) return [...rows];
  return Array.from(
    { length: most },
    (_, index) => rows[Math.round((index * (rows.length - 1)) / (most - 1))] as T,
  );
}

/** Returns the sum over the last days of a window, for each day that has a full one. */
export function rolling(values: readonly number[], days: number): number[] {
  const sums: number[] = [];
  let sum = 0;
  for (const [index, value] of values.entries()) {
    sum += value - (values[index - days] ?? 0);
    if (index >= days - 1) sums.push(sum);
  }
  return sums;
}

export const timeOf = (row: DayRow): Date => new Date(`${row.day}T00:00:00Z`);

/** Returns the index of the day nearest to a time. */
export function nearestDay(rows: readonly DayRow[], time: Date): number {
  const distances = rows.map((row) => Math.abs(timeOf(row).getTime() - time.getTime()));
  return distances.indexOf(Math.min(...distances));
}
