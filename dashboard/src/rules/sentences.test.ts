import { describe, expect, test } from 'vitest';

import { meets, OPERATORS, readBound, readEventBounds } from './conditions';
import { allEvents, allMeasures, allTriggers, isEvent, MEASURE_FIELDS } from './kinds';
import { conditionText, seenText, triggerName } from './sentences';
import { voiceOf } from './testing';

const en = voiceOf('en');
const de = voiceOf('de');
/** Words that were not translated, or values that were not filled in. */
const BROKEN = /rules\.|\{\{|undefined|NaN|null/;

describe.each(['en', 'de'] as const)('in %s', (language) => {
  const voice = voiceOf(language);

  test.each(allTriggers)('the trigger %s has words of its own', (trigger) => {
    const name = triggerName(voice, trigger);
    expect(name).not.toMatch(BROKEN);
    expect(name).not.toBe(trigger);
    expect(allTriggers.filter((other) => triggerName(voice, other) === name)).toEqual([trigger]);
  });

  test.each(allEvents)('the event %s has words of its own, for one and for several', (event) => {
    const name = triggerName(voice, event);
    const [one, many] = [1, 3].map((count) => voice.t(`rules.need.${event}`, { count }));
    for (const text of [name, one, many]) expect(text).not.toMatch(BROKEN);
    expect(many).toContain('3');
    expect(one).not.toBe(many);
  });

  test.each(allMeasures)('every condition on %s is a sentence, and so is what was seen', (measure) => {
    for (const operator of OPERATORS) {
      const condition = `${operator}0.5`;
      const text = conditionText(voice, measure, { condition });
      expect(text).not.toMatch(BROKEN);
      expect(text).not.toContain(condition);
    }
    const seen = { field: MEASURE_FIELDS[measure], condition: '>1', held: true };
    for (const value of [0, 1, 91, null])
      expect(seenText(voice, measure, { ...seen, value })).not.toMatch(BROKEN);
  });

  test.each(allTriggers.filter((trigger) => isEvent(trigger)))('conditions on the event %s', (event) => {
    const both = conditionText(voice, event, { condition: 'total_amount>=100 and call_duration>60' });
    expect(both).not.toMatch(BROKEN);
    expect(both).toMatch(/100/);
    expect(both).toMatch(/60/);
    const one = conditionText(voice, event, { field: 'call_duration', condition: '>60' });
    expect(one).not.toMatch(BROKEN);
    expect(conditionText(voice, event, { condition: null })).toBe(triggerName(voice, event));
  });
});

test('units: days, money, scores, shares, seconds', () => {
  expect(conditionText(en, 'days_since_last_appointment', { condition: '>90' })).toBe(
    'Days since the last appointment: more than 90',
  );
  expect(conditionText(en, 'rhythm_ratio', { condition: '>=3.5' })).toBe(
    'Days since the last appointment, by the usual gap: at least 3.5 times',
  );
  expect(conditionText(de, 'churn_probability', { condition: '>=0.5' })).toMatch(
    /^Abwanderungswahrscheinlichkeit: mindestens 50\s%$/,
  );
  expect(conditionText(en, 'lifetime_value', { condition: '>=1000' })).toBe(
    'Lifetime value: at least €1,000.00',
  );
  expect(conditionText(de, 'lifetime_value', { condition: '>=1000' })).toMatch(
    /^Kundenwert: mindestens 1\.000,00\s€$/,
  );
  expect(conditionText(en, 'risk_score', { condition: '>0.7' })).toBe('Risk: more than 0.70');
  expect(conditionText(en, 'missed_rate', { condition: '<0.2' })).toBe(
    'Share of missed appointments: less than 20%',
  );
  expect(conditionText(en, 'call_received', { field: 'call_duration', condition: '>60' })).toBe(
    'Call, duration more than 60 seconds',
  );
});

test('a trigger that is not known yet is written out, with its condition as it is', () => {
  expect(conditionText(en, 'moon_phase', { condition: '>3' })).toBe('Moon phase: >3');
});

test('what was seen: a value, nothing yet, or an event that did not happen', () => {
  expect(seenText(en, 'risk_score', { field: 'score', condition: '>0.7', value: 1, held: true })).toBe(
    'was 1.00',
  );
  expect(
    seenText(de, 'days_since_last_appointment', {
      field: 'days',
      condition: '>90',
      value: null,
      held: false,
    }),
  ).toBe('noch kein Termin');
  expect(seenText(en, 'call_received', { condition: null, value: null, held: false })).toBe(
    'it did not happen',
  );
});

test('bounds are read as they are written, and nothing else is', () => {
  expect(readBound('>= 3.5')).toEqual({ operator: '>=', number: 3.5 });
  for (const text of ['3', '=>3', '>three', '', null]) expect(readBound(text)).toBeNull();
  expect(readEventBounds('call_duration>60 and weather>1')).toEqual([
    { field: 'call_duration', operator: '>', number: 60 },
  ]);
});

test.each([
  ['>', [false, false, true]],
  ['>=', [false, true, true]],
  ['<', [true, false, false]],
  ['<=', [true, true, false]],
  ['==', [false, true, false]],
  ['!=', [true, false, true]],
] as const)('%s compares', (operator, expected) => {
  expect([1, 2, 3].map((value) => meets({ operator, number: 2 }, value))).toEqual(expected);
});
