import { createContext, useContext } from 'react';

import type { Session } from '../api/queries/session';

/** The session of a person who belongs to a company. */
export type Boot = Session & { company: NonNullable<Session['company']> };

export const BootContext = createContext<Boot | null>(null);

/** Returns the session and the company; the shell renders pages only when it has both. */
export function useBoot(): Boot {
  const boot = useContext(BootContext);
  if (boot === null) throw new Error('There is no session yet.');
  return boot;
}
