import { useSyncExternalStore } from 'react';

/** Whether the service has answered that the session is over. The page stays; a sign-in is laid over it. */
let isOver = false;
const listeners = new Set<() => void>();

function change(value: boolean): void {
  if (isOver === value) return;
  isOver = value;
  for (const listener of listeners) listener();
}

export const resumeSession = (): void => change(false);

/** Lays the sign-in over the page. Resolves when the person says that it is done. */
export function signedIn(): Promise<void> {
  change(true);
  return new Promise((resolve) => {
    const listener = () => {
      if (isOver) return;
      listeners.delete(listener);
      resolve();
    };
    listeners.add(listener);
  });
}

export function useSignedOut(): boolean {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => isOver,
  );
}
