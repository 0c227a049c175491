import { useSyncExternalStore } from 'react';

/** Whether the service has answered that the session is over. The page stays; a sign-in is laid over it. */
let isOver = false;
const listeners = new Set<() => void>();

function change(value: boolean): void {
  if (isOver === value) return;
  isOver = value;
  for (const listener of listeners) listener();
}

export const endSession = (): void => change(true);
export const resumeSession = (): void => change(false);

export function useSignedOut(): boolean {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => isOver,
  );
}
