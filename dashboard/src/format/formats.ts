/** Numbers, money, days and times in the language of the person and the zone and currency of the company. */
export type Formats = ReturnType<typeof createFormats>;
export type Place = { language: 'en' | 'de'; timezone: string; currency: string };

const LOCALES = { en: 'en-GB', de: 'de-DE' };
const DAY_MS = 86_400_000;

export function createFormats({ language, timezone, currency }: Place) {
  const locale = LOCALES[language];
  const numbers = (options: Intl.NumberFormatOptions) => {
    const format = new Intl.NumberFormat(locale, options);
    return (value: number) => format.format(value);
  };
  const times = (options: Intl.DateTimeFormatOptions, timeZone: string) => {
    const format = new Intl.DateTimeFormat(locale, { ...options, timeZone });
    return (instant: string | Date) => format.format(new Date(instant));
  };
  const percent = numbers({ style: 'percent', maximumFractionDigits: 1 });
  // Local days carry no zone: they are read and written as days of UTC.
  const dayOptions: Intl.DateTimeFormatOptions =
    language === 'de'
      ? { day: '2-digit', month: '2-digit', year: 'numeric' }
      : { day: 'numeric', month: 'short', year: 'numeric' };
  const monthDay: Intl.DateTimeFormatOptions = { day: 'numeric', month: 'short' };
  return {
    language,
    timezone,
    currency,
    int: numbers({ maximumFractionDigits: 0 }),
    decimal: numbers({ maximumFractionDigits: 1 }),
    exact: numbers({ maximumFractionDigits: 6 }),
    score: numbers({ minimumFractionDigits: 2, maximumFractionDigits: 2 }),
    /** Of a number of 0 to 100. */
    percent: (value: number) => percent(value / 100),
    money: numbers({ style: 'currency', currency }),
    wholeMoney: numbers({ style: 'currency', currency, maximumFractionDigits: 0 }),
    day: times(dayOptions, 'UTC'),
    shortDay: times(monthDay, 'UTC'),
    month: times({ month: 'short' }, 'UTC'),
    monthYear: times({ month: 'short', year: 'numeric' }, 'UTC'),
    instantDay: times(dayOptions, timezone),
    instantShortDay: times(monthDay, timezone),
    instantTime: times({ hour: '2-digit', minute: '2-digit' }, timezone),
    clock: times({ weekday: 'short', ...monthDay, hour: '2-digit', minute: '2-digit' }, timezone),
    instant: times(
      { ...dayOptions, hour: '2-digit', minute: '2-digit', second: '2-digit', timeZoneName: 'short' },
      timezone,
    ),
    list: (values: string[]) => new Intl.ListFormat(locale, { type: 'conjunction' }).format(values),
    city: (timezone.split('/').at(-1) ?? timezone).replaceAll('_', ' '),
  };
}

/** Returns the local day of an instant, as YYYY-MM-DD. */
export function localDay(instant: string | Date, timezone: string): string {
  return new Intl.DateTimeFormat('en-CA', {
    timeZone: timezone,
    year: 'numeric',
    month: '2-digit',
    day: '2-digit',
  }).format(new Date(instant));
}

/** Returns the day so many days later, or earlier. */
export function addDays(day: string, days: number): string {
  return new Date(Date.parse(`${day}T00:00:00Z`) + days * DAY_MS).toISOString().slice(0, 10);
}

/** Returns the number of days of a range, both ends included. */
export function daysBetween(first: string, last: string): number {
  return Math.round((Date.parse(`${last}T00:00:00Z`) - Date.parse(`${first}T00:00:00Z`)) / DAY_MS) + 1;
}
