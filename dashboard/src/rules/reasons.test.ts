import { describe, expect, test } from 'vitest';

import type { Schemas } from '../api/client';
import { allTriggers, isMeasure, MEASURE_FIELDS } from './kinds';
import { reasonText } from './reasons';
import { voiceOf } from './testing';

type Move = Parameters<typeof reasonText>[1];
type Rule = Schemas['RuleResult'];

const en = voiceOf('en');
const de = voiceOf('de');
const BROKEN = /rules\.|\{\{|undefined|NaN|null/;
const blank: Move = {
  trigger_type: 'automatic',
  trigger_event: 'lifetime_value',
  actor: null,
  performed_by: null,
  from_stage: 'regular',
  to_stage: 'vip',
  reasons: [],
};

const byRule = (rule: Rule, left?: Schemas['StageResult']): Move => ({
  ...blank,
  trigger_event: rule.trigger,
  reasons: [
    ...(left === undefined ? [] : [left]),
    { stage: 'vip', kind: 'progress', held: true, paused_by: null, rules: [rule] },
  ],
});

describe.each(['en', 'de'] as const)('in %s', (language) => {
  test.each(allTriggers)('a move by %s is a sentence', (trigger) => {
    const field = isMeasure(trigger) ? MEASURE_FIELDS[trigger] : 'total_amount';
    const condition = { field, condition: '>=0.5', value: 2, held: true };
    const voice = voiceOf(language);
    for (const conditions of [[condition], isMeasure(trigger) ? [condition] : []])
      expect(reasonText(voice, byRule({ trigger, held: true, conditions }))).not.toMatch(BROKEN);
  });

  test.each(['manual', 'system', 'automatic'] as const)('a %s move without details is a sentence', (type) => {
    const text = reasonText(voiceOf(language), { ...blank, trigger_type: type });
    expect(text).not.toMatch(BROKEN);
    expect(text.length).toBeGreaterThan(3);
  });
});

test('a rule says what it saw and what it asks', () => {
  const rule: Rule = {
    trigger: 'days_since_last_appointment',
    held: true,
    conditions: [{ field: 'days', condition: '>90', value: 91, held: true }],
  };
  expect(reasonText(en, byRule(rule))).toBe('Days since the last appointment: 91 (asked: more than 90)');
  expect(reasonText(de, byRule(rule))).toBe('Tage seit dem letzten Termin: 91 (verlangt: mehr als 90)');
});

test('coming back from a stage of risk is said, with a rule or by the stage of before', () => {
  const left: Schemas['StageResult'] = {
    stage: 'at_risk',
    kind: 'risk',
    held: false,
    paused_by: null,
    rules: [],
  };
  const lost = { ...blank, from_stage: 'at_risk' };
  const rule: Rule = {
    trigger: 'lifetime_value',
    held: true,
    conditions: [{ field: 'value', condition: '>=1000', value: 1044.3, held: true }],
  };
  expect(reasonText(en, { ...byRule(rule, left), from_stage: 'at_risk' })).toBe(
    'Came back: Lifetime value: €1,044.30 (asked: at least €1,000.00)',
  );
  const reasons = [
    left,
    { stage: 'vip', kind: 'progress' as const, held: false, paused_by: null, rules: [] },
  ];
  expect(reasonText(en, { ...lost, reasons })).toBe('Came back with an appointment, to the stage of before');
});

test('a rule that held earlier, while the customer was pinned, does not show values that do not fit', () => {
  const rule: Rule = {
    trigger: 'call_received',
    held: true,
    conditions: [{ field: 'call_duration', condition: '>60', value: null, held: false }],
  };
  expect(reasonText(en, byRule(rule))).toBe('Call while the customer was held in the stage');
});

test('a move by hand names the person, as far as it is known', () => {
  const manual: Move = { ...blank, trigger_type: 'manual', trigger_event: null };
  expect(reasonText(en, manual)).toBe('Moved by hand');
  expect(reasonText(en, { ...manual, actor: 'user:ada' })).toBe('Moved by hand by ada');
  expect(reasonText(en, { ...manual, actor: 'key:desk', performed_by: 77 })).toBe(
    'Moved by hand by person 77 and key desk',
  );
});

test.each([
  ['journey_started', 'The journey began'],
  ['stage_archived', 'The stage Regular Customer was archived'],
  ['stage_repaired', 'The stage before was unknown to the service'],
  ['something_new', 'By the service: Something new'],
])('the service itself moves by %s', (event, text) => {
  expect(reasonText(en, { ...blank, trigger_type: 'system', trigger_event: event })).toBe(text);
});
