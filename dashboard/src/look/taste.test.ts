import { afterEach, beforeEach, expect, test, vi } from 'vitest';

const KEY = 'journey.taste';
const read = async () => {
  vi.resetModules();
  return import('./taste');
};

beforeEach(() => localStorage.clear());
afterEach(() => localStorage.clear());

test('clear colours are kept in this browser, beside the other choices', async () => {
  const { chooseTaste } = await read();
  chooseTaste({ language: 'de' });
  chooseTaste({ palette: 'clear' });

  expect(JSON.parse(localStorage.getItem(KEY) ?? '')).toMatchObject({ language: 'de', palette: 'clear' });
});

test('what is stored and unknown counts as the colours of the company', async () => {
  localStorage.setItem(KEY, JSON.stringify({ palette: 'loud', language: 'de' }));
  const { chooseTaste, currentLanguage } = await read();
  expect(currentLanguage()).toBe('de');
  chooseTaste({});

  expect(JSON.parse(localStorage.getItem(KEY) ?? '')).toMatchObject({ palette: 'company' });
});
