import { useInfiniteQuery } from '@tanstack/react-query';
import { useEffect } from 'react';

import {
  customerActionsQuery,
  eventsQuery,
  transitionsQuery,
  type Booking,
} from '../../api/queries/customer';
import { can } from '../../api/rights';
import { useBoot } from '../../parts/useBoot';
import { useView } from './context';
import { actionEntry, eventEntry, merge, moveEntry, type Entry, type Source } from './entries';

export const TABS = ['moves', 'appointments', 'messages', 'everything'] as const;
export type Tab = (typeof TABS)[number];

export type Timeline = {
  entries: Entry[];
  bookings: Booking[];
  isLoading: boolean;
  isReading: boolean;
  error: Error | null;
  retry: () => void;
  /** Reads the page before the oldest entry; undefined if there is none. */
  readEarlier: (() => void) | undefined;
};

type Pages = {
  isEnabled: boolean;
  isPending: boolean;
  isFetchingNextPage: boolean;
  hasNextPage: boolean;
  error: Error | null;
  fetchNextPage: () => Promise<unknown>;
  refetch: () => Promise<unknown>;
};

/** Reads what a tab shows, newest first, from as many lists as it needs. */
export function useTimeline(tab: Tab): Timeline {
  const { id, instant } = useView();
  const { scopes } = useBoot();
  const isAll = tab === 'everything';
  const has = { moves: isAll || tab === 'moves', events: isAll || tab === 'appointments' };
  const hasActions = (isAll || tab === 'messages') && can(scopes, 'actions:read');
  const moves = useInfiniteQuery({ ...transitionsQuery(id), enabled: has.moves });
  const events = useInfiniteQuery({ ...eventsQuery(id), enabled: has.events });
  const actions = useInfiniteQuery({ ...customerActionsQuery(id), enabled: hasActions });
  const lists: (Pages & { entries: Entry[] })[] = [
    { ...pick(moves), isEnabled: has.moves, entries: entriesOf(moves.data, moveEntry) },
    { ...pick(events), isEnabled: has.events, entries: entriesOf(events.data, eventEntry) },
    { ...pick(actions), isEnabled: hasActions, entries: entriesOf(actions.data, actionEntry) },
  ].filter((list) => list.isEnabled);
  const sources: Source[] = lists.map(({ entries, hasNextPage }) => ({ entries, hasMore: hasNextPage }));
  const { shown, behind } = merge(sources, instant);
  const reading = lists.some((list) => list.isFetchingNextPage);
  const failed = lists.find((list) => list.error !== null);
  const readEarlier = () => {
    for (const index of behind) void lists[index]?.fetchNextPage();
  };
  // A past day may lie before everything that is read so far.
  const isEmptyPast = instant !== undefined && shown.length === 0 && behind.length > 0;
  const isStuck = reading || failed !== undefined;
  useEffect(() => {
    if (isEmptyPast && !isStuck) readEarlier();
  });
  return {
    entries: shown,
    bookings: has.events && instant === undefined ? (events.data?.pages[0]?.bookings ?? []) : [],
    isLoading: lists.some((list) => list.isPending && list.error === null) || (isEmptyPast && !isStuck),
    isReading: reading,
    error: failed?.error ?? null,
    retry: () => void failed?.refetch(),
    readEarlier: behind.length === 0 ? undefined : readEarlier,
  };
}

function pick({
  isPending,
  isFetchingNextPage,
  hasNextPage,
  error,
  fetchNextPage,
  refetch,
}: Omit<Pages, 'isEnabled'>) {
  return { isPending, isFetchingNextPage, hasNextPage, error, fetchNextPage, refetch };
}

function entriesOf<T>(data: { pages: { items: T[] }[] } | undefined, entry: (item: T) => Entry): Entry[] {
  return data?.pages.flatMap((page) => page.items.map((item) => entry(item))) ?? [];
}
