import { expect, test } from 'vitest';

import { contrast, parseHex, toHex, type Rgb } from './colour';
import { stageColours } from './stageColours';

const CARDS = { light: '#ffffff', dark: '#1a1c22' };

/** Random numbers of 0 to 1 that are the same in each run. */
function* numbers(seed: number): Generator<number, never> {
  let state = seed;
  for (;;) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    yield state / 2 ** 32;
  }
}

const between = (first: string, second: string) => contrast(parseHex(first) as Rgb, parseHex(second) as Rgb);

test('the text of 1,000 random colours can be read on the chip, the card and the bar', () => {
  const chance = numbers(7);
  const next = () => chance.next().value;
  for (let count = 0; count < 1_000; count += 1) {
    const chosen = toHex([next(), next(), next()]);
    for (const theme of ['light', 'dark'] as const) {
      const { ink, chip, on, bar } = stageColours(chosen, theme);
      expect(between(ink, chip), `${chosen} on its chip, ${theme}`).toBeGreaterThanOrEqual(4.5);
      expect(between(ink, CARDS[theme]), `${chosen} on the card, ${theme}`).toBeGreaterThanOrEqual(4.5);
      expect(between(on, bar), `text on ${chosen}, ${theme}`).toBeGreaterThanOrEqual(4.49);
    }
  }
});

test('a colour that can be read stays as it is', () => {
  expect(stageColours('#1d4ed8', 'light').ink).toBe('#1d4ed8');
});

test('a stage without a colour, or with an unreadable one, is grey', () => {
  expect(stageColours(null, 'light').fill).toBe('#8a8f99');
  expect(stageColours('red', 'light').fill).toBe('#8a8f99');
});
