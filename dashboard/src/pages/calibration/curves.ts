import type { CalibrationBin, CalibrationReport } from '../../api/queries/predictions';

/** A curve to look at: that of a month of predictions, or of the back-test, which has no month. */
export type ShownCurve = { month?: string; bins: readonly CalibrationBin[] };

/** Returns the curves of a report: the back-test, then the months whose predictions have ended, newest first. */
export function curvesOf(report: CalibrationReport | undefined): ShownCurve[] {
  if (report === undefined) return [];
  const backTest = report.back_test === null ? [] : [{ bins: report.back_test.bins }];
  return [...backTest, ...report.items.map(({ month, bins }) => ({ month, bins }))].filter(
    ({ bins }) => bins.length > 0,
  );
}
