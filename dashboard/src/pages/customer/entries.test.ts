import { expect, test } from 'vitest';

import { merge, type Entry } from './entries';

const entry = (kind: 'move' | 'event', day: number): Entry =>
  ({
    kind,
    key: `${kind}-${day}`,
    at: `2026-06-${String(day).padStart(2, '0')}T10:00:00Z`,
    move: { seq: day },
  }) as Entry;

const keys = (entries: readonly Entry[]) => entries.map((each) => each.key);

test('lists are merged, newest first, and a move stands above the event of its instant', () => {
  const moves = { entries: [entry('move', 9), entry('move', 3)], hasMore: false };
  const events = { entries: [entry('event', 9), entry('event', 5)], hasMore: false };

  const { shown, behind } = merge([moves, events]);

  expect(keys(shown)).toEqual(['move-9', 'event-9', 'event-5', 'move-3']);
  expect(behind).toEqual([]);
});

test('nothing is shown that an unread page could stand before', () => {
  const moves = { entries: [entry('move', 9), entry('move', 2)], hasMore: false };
  const events = { entries: [entry('event', 8), entry('event', 5)], hasMore: true };

  const { shown, behind } = merge([moves, events]);

  expect(keys(shown)).toEqual(['move-9', 'event-8', 'event-5']);
  expect(behind).toEqual([1]);
});

test('of two lists with more, the one that ends later is read further', () => {
  const moves = { entries: [entry('move', 9), entry('move', 7)], hasMore: true };
  const events = { entries: [entry('event', 8), entry('event', 5)], hasMore: true };

  expect(merge([moves, events]).behind).toEqual([0]);
});

test('a past day leaves out what came later, and asks for more if nothing is left', () => {
  const moves = { entries: [entry('move', 9), entry('move', 7)], hasMore: true };

  expect(keys(merge([moves], '2026-06-07T10:00:00Z').shown)).toEqual(['move-7']);
  expect(merge([moves], '2026-06-01T00:00:00Z')).toEqual({ shown: [], behind: [0] });
});
