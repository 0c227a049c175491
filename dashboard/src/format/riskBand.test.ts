import { expect, test } from 'vitest';

import { riskBand } from './riskBand';

test('a score on the upper end of a band belongs to it, the next hundredth to the band above', () => {
  expect([0, 0.3, 0.31, 0.7, 0.71, 0.8, 0.81, 1].map(riskBand)).toEqual([
    'low',
    'low',
    'medium',
    'medium',
    'high',
    'high',
    'critical',
    'critical',
  ]);
});

test('a score is rounded to hundredths first, as in the report', () => {
  expect(riskBand(0.1 + 0.2)).toBe('low');
  expect(riskBand(0.7000000000000001)).toBe('medium');
});
