import { useSyncExternalStore } from 'react';

import { useBoot } from './useBoot';

const MINUTE_MS = 60_000;

function subscribe(listener: () => void): () => void {
  const timer = setInterval(listener, MINUTE_MS / 4);
  return () => clearInterval(timer);
}

/** Returns the present time of the company, to the minute: that of its test clock if it has one. */
export function usePresent(): Date {
  const { company } = useBoot();
  const minute = useSyncExternalStore(subscribe, () => Math.floor(Date.now() / MINUTE_MS));
  return company.test_clock === null ? new Date(minute * MINUTE_MS) : new Date(company.test_clock);
}
