import { expect, test } from 'vitest';

import { endOfDay, localInstant, localTime, startOfDay } from './instants';

test('a local day begins at its midnight, in summer and in winter', () => {
  expect(startOfDay('2026-06-01', 'Europe/Berlin')).toBe('2026-05-31T22:00:00.000Z');
  expect(startOfDay('2026-12-01', 'Europe/Berlin')).toBe('2026-11-30T23:00:00.000Z');
  expect(startOfDay('2026-06-01', 'Asia/Kathmandu')).toBe('2026-05-31T18:15:00.000Z');
  expect(startOfDay('2026-06-01', 'Asia/Tokyo')).toBe('2026-05-31T15:00:00.000Z');
  expect(startOfDay('2026-06-01', 'America/Chicago')).toBe('2026-06-01T05:00:00.000Z');
});

test('a day on which clocks are moved has 23 or 25 hours', () => {
  expect(startOfDay('2026-03-29', 'Europe/Berlin')).toBe('2026-03-28T23:00:00.000Z');
  expect(endOfDay('2026-03-29', 'Europe/Berlin')).toBe('2026-03-29T22:00:00.000Z');
  expect(endOfDay('2026-10-25', 'Europe/Berlin')).toBe('2026-10-25T23:00:00.000Z');
});

test('a midnight that clocks leave out is the moment they are moved', () => {
  // Beirut moves from 00:00 to 01:00 on the last Sunday of March.
  expect(startOfDay('2026-03-29', 'Asia/Beirut')).toBe('2026-03-28T22:00:00.000Z');
});

test('a local time is an instant, in summer, in winter, and on the days between', () => {
  expect(localInstant('2026-07-01', '09:00', 'Europe/Berlin')).toBe('2026-07-01T07:00:00.000Z');
  expect(localInstant('2026-12-01', '09:00', 'Europe/Berlin')).toBe('2026-12-01T08:00:00.000Z');
  expect(localInstant('2026-10-25', '00:00', 'Europe/Berlin')).toBe('2026-10-24T22:00:00.000Z');
  expect(localInstant('2026-10-26', '00:00', 'Europe/Berlin')).toBe('2026-10-25T23:00:00.000Z');
  expect(localInstant('2026-03-29', '03:00', 'Europe/Berlin')).toBe('2026-03-29T01:00:00.000Z');
});

test('zones west of Greenwich and with halves of hours have their own days', () => {
  expect(localInstant('2026-11-30', '00:00', 'America/Chicago')).toBe('2026-11-30T06:00:00.000Z');
  expect(localInstant('2026-11-30', '00:00', 'Asia/Kolkata')).toBe('2026-11-29T18:30:00.000Z');
});

test('an instant has a local time', () => {
  expect(localTime('2026-12-01T08:05:00Z', 'Europe/Berlin')).toBe('09:05');
  expect(localTime('2026-12-01T23:00:00Z', 'Europe/Berlin')).toBe('00:00');
});
