/** Upper ends of the bands of the risk report, in hundredths. */
const BANDS = [
  ['low', 30],
  ['medium', 70],
  ['high', 80],
] as const;

/** Returns the band of a risk score of 0 to 1, as the risk report counts it. */
export function riskBand(score: number): 'low' | 'medium' | 'high' | 'critical' {
  const hundredths = Math.round(score * 100);
  return BANDS.find(([, high]) => hundredths <= high)?.[0] ?? 'critical';
}
