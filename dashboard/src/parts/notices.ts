import { useSyncExternalStore } from 'react';

/** A short text about what has just happened, with what can be done about it. */
export type Notice = {
  id: number;
  text: string;
  kind: 'good' | 'bad';
  /** How to take it back, as long as the notice is shown. */
  undo?: () => void;
  /** Milliseconds until the notice goes by itself. */
  lasts: number;
};

const LASTS_MS = 8_000;
const MAX_NOTICES = 3;
let notices: readonly Notice[] = [];
let lastId = 0;
const listeners = new Set<() => void>();

function change(next: readonly Notice[]): void {
  notices = next;
  for (const listener of listeners) listener();
}

/** Shows a text at the foot of the page, and has it read out. Returns its id. */
export function notify(text: string, options: Partial<Pick<Notice, 'kind' | 'undo' | 'lasts'>> = {}): number {
  lastId += 1;
  const notice: Notice = { id: lastId, text, kind: 'good', lasts: LASTS_MS, ...options };
  change([...notices, notice].slice(-MAX_NOTICES));
  return lastId;
}

export function dismissNotice(id: number): void {
  change(notices.filter((notice) => notice.id !== id));
}

export function useNotices(): readonly Notice[] {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => notices,
  );
}
