import { expect, test } from 'vitest';

import { spread } from './labels';

test('labels that would cover each other are moved apart and stay within', () => {
  const placed = spread([100, 101, 102, 20], 14, 10, 110).toSorted((a, b) => a - b);

  const gaps = placed.slice(1).map((y, index) => y - (placed[index] ?? 0));
  expect(Math.min(...gaps)).toBeGreaterThanOrEqual(14);
  expect(placed[0]).toBeGreaterThanOrEqual(10);
  expect(placed.at(-1)).toBeLessThanOrEqual(110);
});

test('labels with room stay where they are', () => {
  expect(spread([10, 50, 90], 14, 0, 100)).toEqual([10, 50, 90]);
});
