import type { Action, CustomerEvent, Transition } from '../../api/queries/customer';

/** One line of the timeline. */
export type Entry = { key: string; at: string } & (
  | { kind: 'move'; move: Transition }
  | { kind: 'event'; event: CustomerEvent }
  | { kind: 'action'; action: Action }
);
/** What is read of one list so far, newest first. */
export type Source = { entries: readonly Entry[]; hasMore: boolean };

export const moveEntry = (move: Transition): Entry => ({
  kind: 'move',
  key: `move-${move.seq}`,
  at: move.transitioned_at,
  move,
});

export const eventEntry = (event: CustomerEvent): Entry => ({
  kind: 'event',
  key: `event-${event.source}-${event.id}`,
  at: event.occurred_at,
  event,
});

export const actionEntry = (action: Action): Entry => ({
  kind: 'action',
  key: `action-${action.id}`,
  at: action.finished_at ?? action.due_at,
  action,
});

/** Of entries of one instant, a move stands above what caused it. */
const LAYERS = { action: 0, move: 1, event: 2 };

const timeOf = (entry: Entry): number => Date.parse(entry.at);

/**
 * Merges lists, newest first. Where a list has more to read, nothing older than what it has read is shown yet: it could
 * be in between. Returns also which lists must be read further to show more. `until` leaves out what came later.
 */
export function merge(sources: readonly Source[], until?: string): { shown: Entry[]; behind: number[] } {
  const ends = sources.map(({ entries, hasMore }) =>
    hasMore ? Math.min(...entries.map((entry) => timeOf(entry))) : -Infinity,
  );
  const horizon = Math.max(-Infinity, ...ends);
  const last = until === undefined ? Infinity : Date.parse(until);
  const shown = sources
    .flatMap(({ entries }) => entries)
    .filter((entry) => timeOf(entry) >= horizon && timeOf(entry) <= last)
    .toSorted((a, b) => timeOf(b) - timeOf(a) || LAYERS[a.kind] - LAYERS[b.kind] || bySequence(a, b));
  const behind = sources.flatMap((source, index) =>
    source.hasMore && ends[index] === horizon ? [index] : [],
  );
  return { shown, behind };
}

function bySequence(a: Entry, b: Entry): number {
  return a.kind === 'move' && b.kind === 'move' ? b.move.seq - a.move.seq : 0;
}
