/** The instant of a time on a local day, in the zone of the company. */
const MINUTE_MS = 60_000;

function offsetMinutes(instant: number, timezone: string): number {
  const parts = new Intl.DateTimeFormat('en-US', {
    timeZone: timezone,
    hourCycle: 'h23',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
  }).formatToParts(new Date(instant));
  const value = (type: string) => Number(parts.find((part) => part.type === type)?.value);
  const local = Date.UTC(value('year'), value('month') - 1, value('day'), value('hour'), value('minute'));
  return Math.round((local - instant) / MINUTE_MS);
}

/** Returns the instant, as ISO 8601. A time that a change of the clock skips is the one an hour later. */
export function localInstant(day: string, time: string, timezone: string): string {
  const wall = Date.parse(`${day}T${time}:00Z`);
  const first = wall - offsetMinutes(wall, timezone) * MINUTE_MS;
  return new Date(wall - offsetMinutes(first, timezone) * MINUTE_MS).toISOString();
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
