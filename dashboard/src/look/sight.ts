/** How far apart two colours look, also to people who are colour-blind (CIEDE2000; Machado, Oliveira, Fernandes 2009). */
import { linear, type Rgb } from './colour';

export const SIGHTS = ['normal', 'protan', 'deutan', 'tritan'] as const;
export type Sight = (typeof SIGHTS)[number];

type Lab = readonly [number, number, number];
type Matrix = readonly (readonly [number, number, number])[];

/** What a person without one kind of cones sees, in linear light. */
const SEEN: Record<Exclude<Sight, 'normal'>, Matrix> = {
  protan: [
    [0.152286, 1.052583, -0.204868],
    [0.114503, 0.786281, 0.099216],
    [-0.003882, -0.048116, 1.051998],
  ],
  deutan: [
    [0.367322, 0.860646, -0.227968],
    [0.280085, 0.672501, 0.047413],
    [-0.01182, 0.04294, 0.968881],
  ],
  tritan: [
    [1.255528, -0.076749, -0.178779],
    [-0.078411, 0.930809, 0.147602],
    [0.004733, 0.691367, 0.3039],
  ],
};
const TO_XYZ: Matrix = [
  [0.4124564, 0.3575761, 0.1804375],
  [0.2126729, 0.7151522, 0.072175],
  [0.0193339, 0.119192, 0.9503041],
];
const WHITE: Lab = [0.95047, 1, 1.08883];
const CUBE_FROM = 216 / 24389;
const KAPPA = 24389 / 27;
const C7 = 25 ** 7;
const DEGREE = Math.PI / 180;

const times = (matrix: Matrix, [x, y, z]: Rgb): Rgb => {
  const row = (index: number) => {
    const [a = 0, b = 0, c = 0] = matrix[index] ?? [];
    return a * x + b * y + c * z;
  };
  return [row(0), row(1), row(2)];
};

function toLab([red, green, blue]: Rgb, sight: Sight): Lab {
  const light: Rgb = [linear(red), linear(green), linear(blue)];
  const seen = sight === 'normal' ? light : times(SEEN[sight], light);
  const within = seen.map((part) => Math.min(1, Math.max(0, part))) as unknown as Rgb;
  const [x, y, z] = times(TO_XYZ, within).map((part, index) => {
    const share = part / (WHITE[index] ?? 1);
    return share > CUBE_FROM ? Math.cbrt(share) : (KAPPA * share + 16) / 116;
  }) as unknown as Lab;
  return [116 * y - 16, 500 * (x - y), 200 * (y - z)];
}

/** Returns the distance of two colours (CIEDE2000): 1 can just be seen, 10 at a glance. */
export function distance(first: Rgb, second: Rgb, sight: Sight = 'normal'): number {
  return ciede2000(toLab(first, sight), toLab(second, sight));
}

/** The formula of CIEDE2000 for two colours in CIELAB. */
export function ciede2000([l1, a1, b1]: Lab, [l2, a2, b2]: Lab): number {
  const meanChroma = (Math.hypot(a1, b1) + Math.hypot(a2, b2)) / 2;
  const stretch = 1 + 0.5 * (1 - Math.sqrt(meanChroma ** 7 / (meanChroma ** 7 + C7)));
  const [c1, c2] = [Math.hypot(a1 * stretch, b1), Math.hypot(a2 * stretch, b2)];
  const [h1, h2] = [hue(a1 * stretch, b1), hue(a2 * stretch, b2)];
  const isGrey = c1 * c2 === 0;
  const turn = isGrey ? 0 : ((h2 - h1 + 540) % 360) - 180;
  const deltaHue = 2 * Math.sqrt(c1 * c2) * Math.sin((turn / 2) * DEGREE);
  const [l, c] = [(l1 + l2) / 2, (c1 + c2) / 2];
  const h = isGrey ? h1 + h2 : meanHue(h1, h2);
  const t =
    1 -
    0.17 * Math.cos((h - 30) * DEGREE) +
    0.24 * Math.cos(2 * h * DEGREE) +
    0.32 * Math.cos((3 * h + 6) * DEGREE) -
    0.2 * Math.cos((4 * h - 63) * DEGREE);
  const weightL = 1 + (0.015 * (l - 50) ** 2) / Math.sqrt(20 + (l - 50) ** 2);
  const [partL, partC, partH] = [
    (l2 - l1) / weightL,
    (c2 - c1) / (1 + 0.045 * c),
    deltaHue / (1 + 0.015 * c * t),
  ];
  const rotation = 60 * Math.exp(-(((h - 275) / 25) ** 2)) * DEGREE;
  const blue = -2 * Math.sqrt(c ** 7 / (c ** 7 + C7)) * Math.sin(rotation);
  return Math.sqrt(partL ** 2 + partC ** 2 + partH ** 2 + blue * partC * partH);
}

const hue = (a: number, b: number): number => (Math.atan2(b, a) / DEGREE + 360) % 360;

function meanHue(first: number, second: number): number {
  const sum = first + second;
  if (Math.abs(first - second) <= 180) return sum / 2;
  return sum < 360 ? (sum + 360) / 2 : (sum - 360) / 2;
}
