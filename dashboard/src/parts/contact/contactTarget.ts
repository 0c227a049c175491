import { useSyncExternalStore } from 'react';

import type { Schemas } from '../../api/client';
import type { ContactType } from '../../api/mutations/actions';

/** Whom to contact, and how. */
export type ContactTarget = {
  customer: { id: number; name: string | null };
  type: ContactType;
  /** The open task of the customer, if one is known. */
  openTask?: Schemas['OpenTask'] | null;
};

let target: ContactTarget | null = null;
const listeners = new Set<() => void>();

function change(next: ContactTarget | null): void {
  target = next;
  for (const listener of listeners) listener();
}

/** Opens the dialog that asks what to say to a customer. */
export const openContact = (next: ContactTarget): void => change(next);
export const closeContact = (): void => change(null);

export function useContactTarget(): ContactTarget | null {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => target,
  );
}
