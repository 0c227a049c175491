/** Returns the index of the value that is nearest to one; the first of two that are as near. -1 without values. */
export function nearestIndex(values: readonly number[], wanted: number): number {
  let best = -1;
  let distance = Number.POSITIVE_INFINITY;
  for (const [index, value] of values.entries()) {
    const next = Math.abs(value - wanted);
    if (next < distance) [best, distance] = [index, next];
  }
  return best;
}
