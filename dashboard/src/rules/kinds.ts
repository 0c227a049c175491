/** What rules are made of, as the contract lists it. A kind that is new there is an error of types here. */
import type { Schemas } from '../api/client';

/** What a rule of a stage asks about: an event, or a value of the customer. */
export type Trigger = Schemas['StageRule']['trigger'];
export type EventType = Schemas['EventType'];
/** A trigger that is a value, not an event. */
export type Measure = Exclude<Trigger, EventType>;
/** What a condition compares. */
export type Field =
  | 'count'
  | 'value'
  | 'days'
  | 'ratio'
  | 'probability'
  | 'score'
  | 'rate'
  | 'call_duration'
  | 'total_amount';
export type Unit = NonNullable<Schemas['StagePath']['unit']>;

const TRIGGERS = {
  call_received: 'event',
  appointment_requested: 'event',
  appointment_completed: 'event',
  appointment_missed: 'event',
  appointment_cancelled: 'event',
  payment_received: 'event',
  ticket_opened: 'event',
  appointment_count: 'measure',
  lifetime_value: 'measure',
  days_since_last_appointment: 'measure',
  rhythm_ratio: 'measure',
  churn_probability: 'measure',
  risk_score: 'measure',
  engagement_score: 'measure',
  missed_rate: 'measure',
  days_in_stage: 'measure',
} satisfies { [T in Trigger]: T extends EventType ? 'event' : 'measure' };

const EVENT_TYPES = {
  call_received: true,
  appointment_requested: true,
  appointment_booked: true,
  appointment_completed: true,
  appointment_missed: true,
  appointment_cancelled: true,
  payment_received: true,
  payment_refunded: true,
  ticket_opened: true,
  ticket_resolved: true,
  event_retracted: true,
} satisfies Record<EventType, true>;

/** The field that the conditions of a value compare. */
export const MEASURE_FIELDS: Record<Measure, Field> = {
  appointment_count: 'count',
  lifetime_value: 'value',
  days_since_last_appointment: 'days',
  rhythm_ratio: 'ratio',
  churn_probability: 'probability',
  risk_score: 'score',
  engagement_score: 'score',
  missed_rate: 'rate',
  days_in_stage: 'days',
};

const UNIT_FIELDS: Record<Unit, Field> = {
  money: 'value',
  appointments: 'count',
  days: 'days',
  ratio: 'ratio',
  probability: 'probability',
  score: 'score',
  rate: 'rate',
  seconds: 'call_duration',
};

export const allTriggers = Object.keys(TRIGGERS) as Trigger[];
export const allEvents = Object.keys(EVENT_TYPES) as EventType[];
export const allMeasures = Object.keys(MEASURE_FIELDS) as Measure[];

export const isEvent = (name: string): name is EventType => Object.hasOwn(EVENT_TYPES, name);
export const isMeasure = (name: string): name is Measure => Object.hasOwn(MEASURE_FIELDS, name);
export const isField = (name: string): name is Field =>
  name === 'total_amount' || Object.values<string>(UNIT_FIELDS).includes(name);
export const fieldOf = (unit: Unit): Field => UNIT_FIELDS[unit];
