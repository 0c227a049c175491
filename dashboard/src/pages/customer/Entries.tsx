import { ActionLine } from './ActionLine';
import type { Entry } from './entries';
import { EventLine } from './EventLine';
import { MoveLine } from './MoveLine';

/** The lines of the timeline. */
export function Entries({ entries }: { entries: readonly Entry[] }) {
  return entries.map((entry) => {
    if (entry.kind === 'move') return <MoveLine key={entry.key} move={entry.move} />;
    if (entry.kind === 'event') return <EventLine key={entry.key} event={entry.event} />;
    return <ActionLine key={entry.key} action={entry.action} at={entry.at} />;
  });
}
