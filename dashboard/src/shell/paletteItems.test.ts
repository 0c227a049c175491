import { UserRound } from 'lucide-react';
import { expect, test } from 'vitest';

import { matching, stepped } from './paletteItems';

const items = ['Überblick', 'At risk', 'Customers'].map((name) => ({
  key: name,
  group: 'pages' as const,
  name,
  icon: UserRound,
  open: '/',
}));
const found = (words: string) => matching(items, words).map((item) => item.name);

test('pages are found by the beginnings of their words, without case and accents', () => {
  expect(found('uber')).toEqual(['Überblick']);
  expect(found('RI')).toEqual(['At risk']);
  expect(found('ri at')).toEqual(['At risk']);
  expect(found('isk')).toEqual([]);
  expect(found('')).toHaveLength(3);
});

test('arrows go round the ends of the list', () => {
  expect([stepped(0, -1, 3), stepped(2, 1, 3), stepped(0, 1, 0)]).toEqual([2, 0, 0]);
});
