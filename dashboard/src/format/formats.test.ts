import { expect, test } from 'vitest';

import { addDays, createFormats, daysBetween, localDay } from './formats';

const berlin = createFormats({ language: 'en', timezone: 'Europe/Berlin', currency: 'EUR' });
const german = createFormats({ language: 'de', timezone: 'Europe/Berlin', currency: 'EUR' });
const tokyo = createFormats({ language: 'en', timezone: 'Asia/Tokyo', currency: 'JPY' });
const plain = (text: string) => text.replaceAll(/[\u00A0\u202F]/g, ' ');

test('numbers, percent and money follow the language, and yen have no decimals', () => {
  expect(berlin.int(1_234_567)).toBe('1,234,567');
  expect(german.int(1_234_567)).toBe('1.234.567');
  expect(berlin.percent(6.7)).toBe('6.7%');
  expect(plain(german.percent(6.7))).toBe('6,7 %');
  expect(berlin.money(588.4)).toBe('€588.40');
  expect(plain(german.money(588.4))).toBe('588,40 €');
  expect(tokyo.money(12_000)).toBe('JP¥12,000');
  expect(berlin.score(0.7)).toBe('0.70');
});

test('days are written as the language writes them', () => {
  expect(berlin.day('2026-11-29')).toBe('29 Nov 2026');
  expect(german.day('2026-11-29')).toBe('29.11.2026');
});

test('a local day is the one of the company, on both sides of midnight and of summer time', () => {
  expect(localDay('2026-11-28T22:59:59Z', 'Europe/Berlin')).toBe('2026-11-28');
  expect(localDay('2026-11-28T23:00:00Z', 'Europe/Berlin')).toBe('2026-11-29');
  expect(localDay('2026-06-30T22:00:00Z', 'Europe/Berlin')).toBe('2026-07-01');
  expect(localDay('2026-11-28T15:00:00Z', 'Asia/Tokyo')).toBe('2026-11-29');
  expect(berlin.instantDay('2026-11-28T23:00:00Z')).toBe('29 Nov 2026');
});

test('exact instants name their zone, which changes with summer time', () => {
  expect(berlin.instant('2026-03-29T00:59:59Z')).toContain('01:59:59');
  expect(berlin.instant('2026-03-29T01:00:00Z')).toContain('03:00:00');
});

test('days are counted across the change to summer time', () => {
  expect(addDays('2026-03-28', 2)).toBe('2026-03-30');
  expect(addDays('2026-03-01', -1)).toBe('2026-02-28');
  expect(daysBetween('2026-03-01', '2026-03-31')).toBe(31);
});

test('the zone is named by its city', () => {
  expect(createFormats({ language: 'en', timezone: 'America/New_York', currency: 'USD' }).city).toBe(
    'New York',
  );
});
