/** A fixed set of colours for stages that everybody can tell apart; light and dark ones take turns. */
export const CLEAR_COLOURS = [
  '#0072b2',
  '#f0c419',
  '#7a3b8f',
  '#56b4e9',
  '#a63c06',
  '#7fcdbb',
  '#3b3f8c',
  '#f29e4c',
] as const;

/** Returns the colour of the stage at a place of the map; the set begins again after its end. */
export function clearColour(order: number): string {
  return CLEAR_COLOURS[order % CLEAR_COLOURS.length] ?? CLEAR_COLOURS[0];
}
