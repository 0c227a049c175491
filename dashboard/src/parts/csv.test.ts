import { expect, test } from 'vitest';

import { recordsOf } from './csv';

test('records are counted, and line breaks within a value are not', () => {
  expect(recordsOf('')).toBe(0);
  expect(recordsOf('"1","Ada"\r\n"2","Ben"\r\n')).toBe(2);
  expect(recordsOf('"1","Ada\r\nLovelace"\r\n"2","said ""so""\r\n"\r\n')).toBe(2);
});
