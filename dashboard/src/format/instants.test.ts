import { expect, test } from 'vitest';

import { endOfDay, startOfDay } from './instants';

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
