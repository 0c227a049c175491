import { createContext, useContext } from 'react';
import { useTranslation } from 'react-i18next';

import type { Customer, Journey } from '../../api/queries/customer';
import { useOnline } from '../../parts/useOnline';

/** What every part of the page knows: whom it shows, and as of when. */
export type View = {
  id: number;
  customer: Customer;
  /** The journey as of the chosen day, or now. */
  journey: Journey;
  /** The chosen past day; undefined: now. */
  asOf: string | undefined;
  /** The end of that day. */
  instant: string | undefined;
  today: string;
  /** The name, or what stands for it. */
  name: string;
  firstName: string | null;
  isErased: boolean;
  /** Shows that the customer was erased here. */
  onErased: () => void;
};

export const ViewContext = createContext<View | null>(null);

export function useView(): View {
  const view = useContext(ViewContext);
  if (view === null) throw new Error('There is no customer yet.');
  return view;
}

/** Returns why nothing can be changed at present; null if it can. */
export function useOff(): string | null {
  const { t } = useTranslation();
  const { instant, isErased } = useView();
  const isOnline = useOnline();
  if (isErased) return t('customer.erasedNote');
  if (instant !== undefined) return t('customer.pastOff');
  return isOnline ? null : t('customer.offlineOff');
}

/** Puts the cursor into a field that has just been opened. */
export const focusFirst = (field: { focus: () => void } | null): void => field?.focus();

/** Keeps the direction of a name to itself inside a sentence of another direction. */
export const isolate = (name: string): string => `\u2068${name}\u2069`;
