import { useSyncExternalStore } from 'react';

/** What a dialog of the page is opened for; null: it is closed. One dialog serves every page. */
export type DialogTarget<T> = { open: (next: T) => void; close: () => void; use: () => T | null };

export function createDialogTarget<T>(): DialogTarget<T> {
  let target: T | null = null;
  const listeners = new Set<() => void>();
  const change = (next: T | null) => {
    target = next;
    for (const listener of listeners) listener();
  };
  const subscribe = (listener: () => void) => {
    listeners.add(listener);
    return () => listeners.delete(listener);
  };
  return {
    open: change,
    close: () => change(null),
    use: () => useSyncExternalStore(subscribe, () => target),
  };
}
