import { afterEach, expect, test } from 'vitest';

import { ProblemError } from './problems';
import { forgetUnanswered, sendOnce, unansweredOf } from './unanswered';

const keys: string[] = [];
const record =
  <T>(outcome: () => Promise<T>) =>
  (key: string): Promise<T> => {
    keys.push(key);
    return outcome();
  };
const lost = record(() => Promise.reject(new TypeError('Failed to fetch')));
const problem = (status: number) =>
  record(() => Promise.reject(new ProblemError(status, { detail: 'no' }, null, null)));
const done = record(() => Promise.resolve('done'));

afterEach(() => {
  keys.length = 0;
  sessionStorage.clear();
});

test('a request that got no answer is sent again with the same key', async () => {
  await expect(sendOnce('a', { note: 'x' }, lost)).rejects.toThrow('Failed to fetch');
  expect(unansweredOf('a')).toEqual({ key: keys[0], body: { note: 'x' } });
  await expect(sendOnce('a', { note: 'x' }, problem(503))).rejects.toThrow('no');
  await expect(sendOnce('a', { note: 'x' }, done)).resolves.toBe('done');

  expect(keys).toEqual([keys[0], keys[0], keys[0]]);
  expect(unansweredOf('a')).toBeNull();
});

test('after an answer the next request has another key', async () => {
  await sendOnce('a', { note: 'x' }, done);
  await expect(sendOnce('a', { note: 'x' }, problem(422))).rejects.toThrow('no');
  await sendOnce('a', { note: 'x' }, done);

  expect(new Set(keys).size).toBe(3);
});

test('another content or purpose has another key', async () => {
  await expect(sendOnce('a', { note: 'x' }, lost)).rejects.toThrow('Failed to fetch');
  await expect(sendOnce('a', { note: 'y' }, lost)).rejects.toThrow('Failed to fetch');
  await expect(sendOnce('b', { note: 'y' }, lost)).rejects.toThrow('Failed to fetch');

  expect(new Set(keys).size).toBe(3);
});

test('a request that is given up is forgotten', async () => {
  await expect(sendOnce('a', {}, lost)).rejects.toThrow('Failed to fetch');
  forgetUnanswered('a');

  expect(unansweredOf('a')).toBeNull();
});
