import { expect, test } from 'vitest';

import { allEvents, allMeasures, MEASURE_FIELDS, type Field } from './kinds';
import { pathNotes, pathShare, pathTitle, type Around, type Path } from './paths';
import { voiceOf } from './testing';

const en = voiceOf('en');
const de = voiceOf('de');
const BROKEN = /rules\.|\{\{|undefined|NaN|null/;
const UNITS: Partial<Record<Field, Path['unit']>> = {
  count: 'appointments',
  value: 'money',
  days: 'days',
  ratio: 'ratio',
  probability: 'probability',
  score: 'score',
  rate: 'rate',
};

const path: Path = {
  to_stage: 'churned',
  direction: 'risk',
  trigger: 'days_since_last_appointment',
  condition: '>180',
  value: 132,
  missing: 49,
  unit: 'days',
  needs: null,
  at: '2027-01-17T14:00:00Z',
  leads_to: 'churned',
};
const around: Around = {
  current: 'at_risk',
  hasAppointments: true,
  hasCampaign: false,
  pinUntil: null,
  isPrevented: true,
};
const wayBack: Path = {
  ...path,
  to_stage: 'vip',
  direction: 'return',
  trigger: 'appointment_completed',
  condition: null,
  value: null,
  missing: null,
  unit: null,
  needs: { event: 'appointment_completed', times: 1, total_amount: null, call_duration: null },
  at: null,
  leads_to: 'vip',
};

test.each(allMeasures)('a way by %s is a sentence, whatever is missing', (measure) => {
  const unit = UNITS[MEASURE_FIELDS[measure]] ?? null;
  const way = { ...path, trigger: measure, condition: '>=0.5', unit };
  for (const voice of [en, de])
    for (const missing of [null, 1, 3])
      for (const at of [null, path.at])
        for (const value of [null, 0, 2]) {
          const each = { ...way, missing, at, value };
          expect(pathTitle(voice, each)).not.toMatch(BROKEN);
          expect(pathNotes(voice, each, around).join(' ')).not.toMatch(BROKEN);
        }
});

test.each(allEvents)('a way by the event %s says how often', (event) => {
  const needs = { event, times: 2, total_amount: null, call_duration: null };
  for (const voice of [en, de]) expect(pathTitle(voice, { ...wayBack, needs })).toMatch(/2/);
});

test('days that are missing, and what an appointment does', () => {
  expect(pathTitle(en, path)).toBe('49 more days without an appointment');
  expect(pathTitle(de, path)).toBe('Noch 49 Tage ohne Termin');
  expect(pathTitle(en, { ...path, missing: 1 })).toBe('One more day without an appointment');
  expect(pathTitle(en, { ...path, trigger: 'days_in_stage' })).toBe('49 more days in this stage');
  expect(pathNotes(en, path, around)).toEqual([
    'Now 132; asked: more than 180.',
    'An appointment before then prevents it.',
  ]);
});

test('the way back, and that the campaign stops', () => {
  expect(pathTitle(en, wayBack)).toBe('One completed appointment');
  expect(pathNotes(en, wayBack, around)).toEqual(['Goes straight back to VIP Customer.']);
  expect(pathNotes(en, wayBack, { ...around, hasCampaign: true })).toEqual([
    'Goes straight back to VIP Customer, and the campaign stops.',
  ]);
});

test('money, scores and what an event must have', () => {
  const value: Path = { ...path, trigger: 'lifetime_value', condition: '>=1000', unit: 'money', at: null };
  expect(pathTitle(en, { ...value, value: 880, missing: 120 })).toBe('€120.00 more lifetime value');
  expect(pathTitle(en, { ...value, condition: '<500', value: 880, missing: 380.01 })).toBe(
    '€380.01 less lifetime value',
  );
  const risk: Path = {
    ...path,
    trigger: 'risk_score',
    condition: '>0.7',
    unit: 'score',
    value: 0.6,
    missing: 0.11,
  };
  expect(pathTitle(en, risk)).toBe('Risk reaches more than 0.70 by the passing of time');
  expect(pathTitle(en, { ...risk, at: null })).toBe('Risk must rise by 0.11');
  const call: Path = {
    ...wayBack,
    trigger: 'call_received',
    condition: 'call_duration>60',
    needs: { event: 'call_received', times: 1, total_amount: null, call_duration: 61 },
  };
  expect(pathTitle(en, call)).toBe('One call of duration more than 60 seconds');
});

test('a way that leads elsewhere says where, or why it moves nobody', () => {
  const notes = (change: Partial<Path>, other: Partial<Around> = {}) =>
    pathNotes(en, { ...path, ...change }, { ...around, ...other }).at(-1);
  expect(notes({ leads_to: 'vip' })).toBe('The customer moves to VIP Customer before that.');
  expect(notes({ leads_to: 'at_risk' })).toBe('This alone does not move the customer.');
  expect(pathNotes(en, { ...wayBack, leads_to: 'regular' }, around)).toEqual([
    'It leads to Regular Customer instead.',
  ]);
  expect(notes({ leads_to: null }, { hasAppointments: false })).toBe(
    'Counts after the first completed appointment.',
  );
  expect(notes({ leads_to: 'at_risk' }, { pinUntil: '2027-02-01T00:00:00Z' })).toBe(
    'Nobody is moved before 1 Feb 2027: the customer is held.',
  );
});

test('a rule that holds already says so', () => {
  expect(pathTitle(en, { ...path, value: 200, missing: null, at: null })).toBe(
    'What it asks for is there already',
  );
});

test('the meter shows how much of the way is gone, where that is a number', () => {
  expect(pathShare(path)).toBeCloseTo(132 / 181);
  expect(pathShare(wayBack)).toBeNull();
  expect(pathShare({ ...path, condition: '<500', unit: 'money', value: 880, missing: 380 })).toBeNull();
  expect(pathShare({ ...path, trigger: 'lifetime_value', unit: 'money', value: 0, missing: 1000 })).toBe(0);
});
