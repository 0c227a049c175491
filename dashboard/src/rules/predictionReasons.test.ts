import { describe, expect, test } from 'vitest';

import type { ReasonGroup } from '../api/queries/predictions';
import { isMixed, predictionEffect, predictionReason } from './predictionReasons';
import { voiceOf } from './testing';

const BROKEN = /prediction\.|\{\{|undefined|NaN|null/;
const group = (code: ReasonGroup['code'], params: Record<string, number>, ratio = 0.42): ReasonGroup => ({
  code,
  params,
  ratio,
  direction: ratio > 1 ? 'sooner' : 'later',
});

const CASES: [ReasonGroup, string, string][] = [
  [
    group('time_since_last_visit', { days: 0 }),
    'The last appointment was today',
    'Der letzte Termin war heute',
  ],
  [
    group('time_since_last_visit', { days: 74 }),
    '74 days since the last appointment',
    'Letzter Termin vor 74 Tagen',
  ],
  [
    group('own_rhythm', { ratio: 2.1, usual_days: 35.2 }),
    'Usually comes every 35 days; it is 2.1 times as long now',
    'Kommt sonst alle 35 Tage; jetzt ist es 2,1 mal so lang',
  ],
  [
    group('own_rhythm', { ratio: 0.5, usual_days: 35 }),
    'Usually comes every 35 days; 50% of that time has passed',
    'Kommt sonst alle 35 Tage; davon sind 50 % vergangen',
  ],
  [group('loyalty', { visits: 1 }), '1 appointment so far', 'Bisher 1 Termin'],
  [
    group('spend', { mean_amount: 48.5 }),
    'Spends €48.50 at an appointment on average',
    'Gibt im Mittel 48,50 € je Termin aus',
  ],
  [
    group('missed_appointments', { missed: 0, since_last_visit: 0 }),
    'Has missed no appointment',
    'Hat keinen Termin versäumt',
  ],
  [
    group('missed_appointments', { missed: 3, since_last_visit: 1 }),
    'Has missed 3 appointments, 1 of them since the last one that took place',
    'Hat 3 Termine versäumt, davon 1 seit dem letzten, der stattfand',
  ],
];

describe.each(['en', 'de'] as const)('in %s', (language) => {
  const voice = voiceOf(language);

  test.each(CASES)('the reason %o is a sentence', (reason, english, german) => {
    const sentence = predictionReason(voice, reason).replaceAll('\u00A0', ' ');
    expect(sentence).toBe(language === 'en' ? english : german);
    expect(predictionEffect(voice, reason)).not.toMatch(BROKEN);
  });

  test('a reason without its values is still a sentence', () => {
    for (const [{ code }] of CASES) expect(predictionReason(voice, group(code, {}))).not.toMatch(BROKEN);
  });
});

test('the effect keeps two digits where one would round it away', () => {
  const effects = [0.0412, 0.964, 2.2013].map((ratio) =>
    predictionEffect(voiceOf('en'), group('loyalty', {}, ratio)),
  );
  expect(effects).toEqual([
    'makes a return less likely: 0.04 × the average',
    'makes a return less likely: 0.96 × the average',
    'makes a return more likely: 2.2 × the average',
  ]);
});

test('groups are mixed if they point in opposite directions', () => {
  const [sooner, later] = [2, 0.5].map((ratio) => group('loyalty', {}, ratio));
  expect(isMixed([sooner, later] as ReasonGroup[])).toBe(true);
  expect(isMixed([later, later] as ReasonGroup[])).toBe(false);
  expect(isMixed([])).toBe(false);
});
