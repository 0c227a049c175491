import { addDays, localDay } from './formats';

const MINUTE_MS = 60_000;

/**
 * Returns the instant of a time on a local day of a zone, as ISO 8601. A time that a change of the clock skips is the
 * one an hour later.
 */
export function localInstant(day: string, time: string, timezone: string): string {
  const wanted = Date.parse(`${day}T${time}:00Z`);
  const first = wanted - offsetAt(wanted, timezone);
  return new Date(wanted - offsetAt(first, timezone)).toISOString();
}

/** Returns the local time of an instant, as HH:MM. */
export function localTime(instant: string, timezone: string): string {
  return new Intl.DateTimeFormat('en-GB', {
    timeZone: timezone,
    hourCycle: 'h23',
    hour: '2-digit',
    minute: '2-digit',
  }).format(new Date(instant));
}

/** Returns the instant at which a local day begins in a zone, also where clocks are moved at midnight. */
export function startOfDay(day: string, timezone: string): string {
  let instant = Date.parse(localInstant(day, '00:00', timezone));
  // A midnight that clocks leave out: the day begins when they are moved.
  while (localDay(new Date(instant), timezone) < day) instant += 15 * MINUTE_MS;
  return new Date(instant).toISOString();
}

/** Returns the instant at which a local day ends: the midnight with which the next one begins. */
export const endOfDay = (day: string, timezone: string): string => startOfDay(addDays(day, 1), timezone);

/** Milliseconds by which a zone is ahead of UTC at an instant. */
function offsetAt(instant: number, timezone: string): number {
  const parts = new Intl.DateTimeFormat('en-US', {
    timeZone: timezone,
    hourCycle: 'h23',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
    second: 'numeric',
  }).formatToParts(new Date(instant));
  const read = (type: string) => Number(parts.find((part) => part.type === type)?.value ?? 0);
  const local = Date.UTC(
    read('year'),
    read('month') - 1,
    read('day'),
    read('hour'),
    read('minute'),
    read('second'),
  );
  return local - Math.floor(instant / 1_000) * 1_000;
}
