/**
 * Tasks that were marked as done and can still be taken back. The service cannot open a done task again: so it is told
 * when the time to undo is over, or when the page goes away.
 */
import { useSyncExternalStore } from 'react';

import { updateTask, updateTaskAtLast } from '../../api/mutations/tasks';
import type { Task } from '../../api/queries/tasks';

export const UNDO_MS = 6_000;

type Pending = { task: Task; timer: number; onEnd: (error: unknown) => Promise<void> };

let pending: ReadonlyMap<number, Pending> = new Map();
const listeners = new Set<() => void>();

function change(next: ReadonlyMap<number, Pending>): void {
  pending = next;
  for (const listener of listeners) listener();
}

function drop(id: number): void {
  const next = new Map(pending);
  next.delete(id);
  change(next);
}

/** Hides a task, and tells the service after the time to undo. `onEnd` gets the failure, or null. */
export function markDone(task: Task, onEnd: (error: unknown) => Promise<void>): void {
  const timer = window.setTimeout(() => void send(task.id), UNDO_MS);
  change(new Map(pending).set(task.id, { task, timer, onEnd }));
}

export function undoDone(id: number): void {
  clearTimeout(pending.get(id)?.timer);
  drop(id);
}

async function send(id: number): Promise<void> {
  const entry = pending.get(id);
  if (entry === undefined) return;
  clearTimeout(entry.timer);
  let failure: unknown = null;
  try {
    await updateTask(entry.task, { status: 'done' });
  } catch (error) {
    failure = error;
  }
  await entry.onEnd(failure);
  drop(id);
}

addEventListener('pagehide', () => {
  for (const { task, timer } of pending.values()) {
    clearTimeout(timer);
    updateTaskAtLast(task, { status: 'done' });
  }
  change(new Map());
});

/** Returns the ids of the tasks that are hidden. */
export function usePendingDone(): ReadonlyMap<number, unknown> {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => pending,
  );
}
