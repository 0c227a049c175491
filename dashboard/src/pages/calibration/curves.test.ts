import { expect, test } from 'vitest';

import type { CalibrationReport } from '../../api/queries/predictions';
import { curvesOf } from './curves';

const bins = [{ customers: 28, predicted: 0.3, realised: 0.25 }];
const month = (name: string, found: typeof bins) => ({ month: name, bins: found });
const report = (values: object) => values as unknown as CalibrationReport;

test('the curves are the back-test and the months that have ended', () => {
  const items = [month('2026-11', []), month('2026-08', bins)];
  expect(curvesOf(report({ back_test: { bins }, items }))).toEqual([{ bins }, { month: '2026-08', bins }]);
  expect(curvesOf(report({ back_test: null, items }))).toEqual([{ month: '2026-08', bins }]);
});

test('there is no curve before the first fit', () => {
  expect(curvesOf(report({ back_test: null, items: [] }))).toEqual([]);
  expect(curvesOf(undefined)).toEqual([]);
});
