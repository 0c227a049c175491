/** Colours as sRGB triples of 0 to 1, and the contrast between them (WCAG 2). */
export type Rgb = readonly [number, number, number];

const HEX = /^#([0-9a-f]{2})([0-9a-f]{2})([0-9a-f]{2})$/i;

/** Returns the colour of `#RRGGBB`, or null. */
export function parseHex(text: string): Rgb | null {
  const match = HEX.exec(text);
  if (match === null) return null;
  const [, red = '', green = '', blue = ''] = match;
  return [parseInt(red, 16) / 255, parseInt(green, 16) / 255, parseInt(blue, 16) / 255];
}

/** Returns `#rrggbb`. */
export function toHex(colour: Rgb): string {
  return `#${colour
    .map((part) =>
      Math.round(part * 255)
        .toString(16)
        .padStart(2, '0'),
    )
    .join('')}`;
}

/** Returns the colour that `share` of `over` makes on `under`. */
export function mix(over: Rgb, under: Rgb, share: number): Rgb {
  const part = (index: 0 | 1 | 2) => over[index] * share + under[index] * (1 - share);
  return [part(0), part(1), part(2)];
}

/** Returns the light of a part of a colour, 0 to 1. */
export function linear(part: number): number {
  return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
}

function luminance([red, green, blue]: Rgb): number {
  return 0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue);
}

/** Returns the contrast of two colours, 1 to 21. */
export function contrast(first: Rgb, second: Rgb): number {
  const [low = 0, high = 0] = [luminance(first), luminance(second)].toSorted((a, b) => a - b);
  return (high + 0.05) / (low + 0.05);
}
