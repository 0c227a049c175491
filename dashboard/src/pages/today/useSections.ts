import { keepPreviousData, useInfiniteQuery, useQuery } from '@tanstack/react-query';
import { useSearch } from '@tanstack/react-router';

import { tasksQuery, type Task, type TaskQuery } from '../../api/queries/tasks';
import { valuesQuery, type Today } from '../../api/queries/today';
import { addDays } from '../../format/formats';
import { useFormats } from '../../format/useFormats';
import { localInstant } from '../../format/instants';
import { usePendingDone } from './pendingDone';
import type { Whose } from './todaySearch';

export const SECTIONS = ['overdue', 'today', 'tomorrow', 'later'] as const;
export type SectionName = (typeof SECTIONS)[number];

const FILTERS: Record<Whose, TaskQuery> = {
  mine: { assignee: 'me' },
  nobodys: { unassigned: true },
  everyone: {},
};

/** Returns the filter of tasks that the address names. */
export const useWhose = (): TaskQuery => FILTERS[useSearch({ from: '/today' }).whose ?? 'everyone'];

export type Section = {
  name: SectionName;
  tasks: Task[];
  total: number;
  hasMore: boolean;
  isReadingMore: boolean;
  onMore: () => void;
};

/** Reads the open tasks by when they are due, and the values of their customers in one request. */
export function useSections(today: Today) {
  const { timezone } = useFormats();
  const whose = useWhose();
  const hidden = usePendingDone();
  const dayAfter = localInstant(addDays(today.day, 2), '00:00', timezone);
  const read = (bounds: TaskQuery) => ({
    ...tasksQuery({ ...whose, ...bounds }),
    placeholderData: keepPreviousData,
  });
  const results = {
    overdue: useInfiniteQuery(read({ due_before: today.as_of })),
    today: useInfiniteQuery(read({ due_after: today.as_of, due_before: today.day_end })),
    tomorrow: useInfiniteQuery(read({ due_after: today.day_end, due_before: dayAfter })),
    later: useInfiniteQuery(read({ due_after: dayAfter })),
  };
  const sections = SECTIONS.map((name): Section => {
    const { data, hasNextPage, isFetchingNextPage, fetchNextPage } = results[name];
    const all = data?.pages.flatMap((page) => page.items) ?? [];
    const tasks = all.filter((task) => !hidden.has(task.id));
    const first = data?.pages[0];
    const total = (first?.total ?? first?.total_estimate ?? all.length) - (all.length - tasks.length);
    return {
      name,
      tasks,
      total,
      hasMore: hasNextPage,
      isReadingMore: isFetchingNextPage,
      onMore: () => void fetchNextPage(),
    };
  });
  const customers = sections.flatMap(({ tasks }) => tasks.map((task) => task.customer_id));
  const ids = [...new Set(customers.filter((id) => id !== null))];
  const isKnown = SECTIONS.every((name) => results[name].data !== undefined);
  const values = useQuery({
    ...valuesQuery(ids.toSorted((a, b) => a - b).slice(0, 200)),
    enabled: isKnown && ids.length > 0,
    placeholderData: keepPreviousData,
  });
  const failed = SECTIONS.map((name) => results[name]).find((result) => result.error !== null);
  return { sections, values: values.data, isKnown, failed };
}
