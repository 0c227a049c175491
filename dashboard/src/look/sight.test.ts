import { describe, expect, test } from 'vitest';

import { clearColour, CLEAR_COLOURS } from './clearColours';
import { parseHex, type Rgb } from './colour';
import { ciede2000, distance, SIGHTS } from './sight';
import { stageColours } from './stageColours';

const rgb = (text: string) => parseHex(text) as Rgb;

test.each([
  // From the test data of Sharma, Wu and Dalal (2005).
  [[50, 2.6772, -79.7751], [50, 0, -82.7485], 2.0425],
  [[50, -1.3802, -84.2814], [50, 0, -82.7485], 1.0],
  [[50, 0, 0], [50, -1, 2], 2.3669],
  [[50, 2.49, -0.001], [50, -2.49, 0.0009], 7.1792],
  [[50, 2.5, 0], [73, 25, -18], 27.1492],
  [[60.2574, -34.0099, 36.2677], [60.4626, -34.1751, 39.4387], 1.2644],
  [[22.7233, 20.0904, -46.694], [23.0331, 14.973, -42.5619], 2.0373],
  [[2.0776, 0.0795, -1.135], [0.9033, -0.0636, -0.5514], 0.9082],
] as const)('the distance of %j and %j is %f', (first, second, expected) => {
  expect(ciede2000(first, second)).toBeCloseTo(expected, 4);
});

test('red and green are alike without one kind of cones, and blue and yellow are not', () => {
  const [red, green] = [rgb('#d9534f'), rgb('#8a8a2b')];
  expect(distance(red, green)).toBeGreaterThan(30);
  expect(distance(red, green, 'deutan')).toBeLessThan(distance(red, green) / 2);
  expect(distance(rgb('#3060c0'), rgb('#e0c030'), 'deutan')).toBeGreaterThan(30);
});

describe('clear colours', () => {
  test.each(SIGHTS)(
    'neighbours differ for %s sight, in both themes and from the last to the first',
    (sight) => {
      for (const theme of ['light', 'dark'] as const) {
        for (const index of CLEAR_COLOURS.keys()) {
          const [here, next] = [index, index + 1].map((at) => stageColours(clearColour(at), theme));
          for (const kind of ['fill', 'bar'] as const) {
            const [first, second] = [rgb(here?.[kind] ?? ''), rgb(next?.[kind] ?? '')];
            expect(distance(first, second, sight), `${kind} ${index}, ${theme}`).toBeGreaterThanOrEqual(10);
          }
        }
      }
    },
  );

  test('the colours of the guide do not pass, so the measure can fail', () => {
    expect(distance(rgb('#34D399'), rgb('#10B981'))).toBeLessThan(10);
  });
});
