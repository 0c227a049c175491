/** Sentences about rules in the language of the person, built from their parts: trigger, field, bound, value. */
import type { TFunction } from 'i18next';

import type { Formats } from '../format/formats';
import { actionName } from '../format/actionName';
import { readBound, readEventBounds, type Bound, type Operator } from './conditions';
import {
  isEvent,
  isField,
  isMeasure,
  MEASURE_FIELDS,
  type EventType,
  type Field,
  type Measure,
} from './kinds';

export type Voice = {
  t: TFunction;
  formats: Formats;
  /** The name of a stage. */
  stage: (key: string) => string;
};

const BOUNDS = {
  '>': 'gt',
  '>=': 'gte',
  '<': 'lt',
  '<=': 'lte',
  '==': 'eq',
  '!=': 'ne',
} as const satisfies Record<Operator, string>;

export const measureName = ({ t }: Voice, measure: Measure): string => t(`rules.measure.${measure}`);
export const eventName = ({ t }: Voice, event: EventType): string => t(`rules.event.${event}`);

/** Returns what a trigger is called; one that the contract does not know yet is written out. */
export function triggerName(voice: Voice, trigger: string): string {
  if (isMeasure(trigger)) return measureName(voice, trigger);
  return isEvent(trigger) ? eventName(voice, trigger) : actionName(trigger);
}

const VALUES: Record<Field, (voice: Voice, value: number) => string> = {
  count: ({ formats }, value) => formats.int(value),
  days: ({ formats }, value) => formats.int(value),
  ratio: ({ t, formats }, value) => t('rules.times', { number: formats.exact(value) }),
  value: ({ formats }, value) => formats.money(value),
  total_amount: ({ formats }, value) => formats.money(value),
  score: ({ formats }, value) => formats.score(value),
  probability: ({ formats }, value) => formats.percent(value * 100),
  rate: ({ formats }, value) => formats.percent(value * 100),
  call_duration: ({ t }, value) => t('rules.seconds', { count: value }),
};

/** Returns a number in the unit of its field: `€1,000.00`, `20%`, `60 seconds`. */
export const valueText = (voice: Voice, field: Field, value: number): string => VALUES[field](voice, value);

export const boundText = (voice: Voice, field: Field, { operator, number }: Bound): string =>
  voice.t(`rules.bound.${BOUNDS[operator]}`, { number: valueText(voice, field, number) });

/** Returns a condition in words: `Days since the last appointment: more than 90`. */
export function conditionText(
  voice: Voice,
  trigger: string,
  { field, condition }: { field?: string; condition: string | null },
): string {
  const name = triggerName(voice, trigger);
  if (condition === null) return name;
  const details = detailTexts(voice, trigger, field, condition);
  if (details.length === 0) return voice.t('rules.condition', { measure: name, bound: condition });
  const words = voice.formats.list(details);
  return isEvent(trigger)
    ? voice.t('rules.eventOf', { event: name, details: words })
    : voice.t('rules.condition', { measure: name, bound: words });
}

/** The bounds of a condition in words: of a value, of one field of an event, or of several. */
export function detailTexts(
  voice: Voice,
  trigger: string,
  field: string | undefined,
  condition: string | null,
): string[] {
  if (isMeasure(trigger)) {
    const bound = readBound(condition);
    return bound === null ? [] : [boundText(voice, MEASURE_FIELDS[trigger], bound)];
  }
  const named = field !== undefined && isField(field) ? readBound(condition) : null;
  const bounds = named === null ? readEventBounds(condition) : [{ ...named, field: field as Field }];
  return bounds.map((bound) => {
    const words = { bound: boundText(voice, bound.field, bound) };
    return bound.field === 'call_duration'
      ? voice.t('rules.duration', words)
      : voice.t('rules.amount', words);
  });
}

/** Returns the field of a condition: that of the value, or the one that the event's condition names. */
export function fieldOfTrigger(trigger: string, field: string | undefined): Field | null {
  if (isMeasure(trigger)) return MEASURE_FIELDS[trigger];
  return field !== undefined && isField(field) ? field : null;
}

/** Returns what the service saw when it compared: `was 91`, or that there was nothing to compare. */
export function seenText(
  voice: Voice,
  trigger: string,
  seen: { field?: string; condition: string | null; value: number | null; held: boolean },
): string {
  if (seen.condition === null) return voice.t(seen.held ? 'rules.happened' : 'rules.happenedNot');
  const field = fieldOfTrigger(trigger, seen.field);
  if (seen.value !== null)
    return voice.t('rules.seen', {
      value: field === null ? voice.formats.decimal(seen.value) : valueText(voice, field, seen.value),
    });
  if (trigger === 'days_since_last_appointment' || trigger === 'rhythm_ratio')
    return voice.t('rules.noAppointment');
  return voice.t(isEvent(trigger) ? 'rules.happenedNot' : 'rules.seenNone');
}
