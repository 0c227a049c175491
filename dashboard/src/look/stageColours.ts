import { contrast, mix, parseHex, toHex, type Rgb } from './colour';

/** What a stage is drawn with in one theme, derived from the colour that the company chose. */
export type StageColours = {
  /** The company's colour, as it is. */
  fill: string;
  /** Text and edges: the same hue, readable on a card and on the chip. */
  ink: string;
  /** Text on a bar. */
  on: string;
  /** Background of a chip. */
  chip: string;
  /** A large area. */
  bar: string;
};

const CARD: Record<'light' | 'dark', Rgb> = { light: [1, 1, 1], dark: [26 / 255, 28 / 255, 34 / 255] };
const NEUTRAL: Rgb = [138 / 255, 143 / 255, 153 / 255];
const CHIP_SHARE = 0.15;
const BAR_SHARE = { light: 0.8, dark: 0.72 };
/** A little above what WCAG asks for, so that rounding cannot fall below it. */
const WANTED = 4.7;
const READABLE = 4.5;
const STEPS = 100;
const BLACK: Rgb = [0, 0, 0];
const WHITE: Rgb = [1, 1, 1];
const DARK_TEXT: Rgb = [20 / 255, 22 / 255, 27 / 255];

/** Derives the colours of a stage; a stage without one is grey. */
export function stageColours(chosen: string | null, theme: 'light' | 'dark'): StageColours {
  const fill = (chosen === null ? null : parseHex(chosen)) ?? NEUTRAL;
  const card = CARD[theme];
  const chip = mix(fill, card, CHIP_SHARE);
  const bar = mix(fill, card, BAR_SHARE[theme]);
  // One of black and white always reads on a colour; the softer black is taken where it is enough.
  const on = [DARK_TEXT, WHITE, BLACK].find((each) => contrast(bar, each) >= READABLE) ?? BLACK;
  return {
    fill: toHex(fill),
    ink: toHex(readable(fill, theme === 'dark' ? WHITE : BLACK, [chip, card])),
    on: toHex(on),
    chip: toHex(chip),
    bar: toHex(bar),
  };
}

/** Moves a colour towards black or white until it can be read on each of the surfaces. */
function readable(colour: Rgb, towards: Rgb, surfaces: Rgb[]): Rgb {
  for (let step = 0; step <= STEPS; step += 1) {
    const moved = mix(towards, colour, step / STEPS);
    if (surfaces.every((surface) => contrast(moved, surface) >= WANTED)) return moved;
  }
  return towards;
}
