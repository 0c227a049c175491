import { afterEach, expect, test, vi } from 'vitest';

import { readCsv, recordsOf } from './csv';

afterEach(() => {
  vi.unstubAllGlobals();
});

test('records are counted, and line breaks within a value are not', () => {
  expect(recordsOf('')).toBe(0);
  expect(recordsOf('"1","Ada"\r\n"2","Ben"\r\n')).toBe(2);
  expect(recordsOf('"1","Ada\r\nLovelace"\r\n"2","said ""so""\r\n"\r\n')).toBe(2);
});

test('a list that gets a column while it is read is read from the beginning', async () => {
  const pages = [
    ['"a"\r\n1\r\n', 'second'],
    ['"a","b"\r\n2,2\r\n', null],
    ['"a","b"\r\n1,\r\n', 'second'],
    ['"a","b"\r\n2,2\r\n', null],
  ] as const;
  const asked: string[] = [];
  vi.stubGlobal('fetch', (address: string) => {
    const [text, cursor] = pages[asked.length] ?? ['', null];
    asked.push(address);
    return Promise.resolve(
      new Response(text, { headers: cursor === null ? {} : { 'x-next-cursor': cursor } }),
    );
  });
  const progress: number[] = [];
  const file = await readCsv('/list', {}, (rows) => progress.push(rows), new AbortController().signal);
  expect(await file.text()).toBe('"a","b"\r\n1,\r\n2,2\r\n');
  expect(progress).toEqual([1, 1, 2]);
  expect(asked.map((address) => address.includes('cursor=second'))).toEqual([false, true, false, true]);
});
