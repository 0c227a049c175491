import type { UseQueryResult } from '@tanstack/react-query';
import { cleanup, screen } from '@testing-library/react';
import { afterEach, expect, test } from 'vitest';

import { churnModelQuery, type CalibrationReport, type ModelFit } from '../../api/queries/predictions';
import { renderPart } from '../../parts/testing';
import '../../words/calibrationPage';
import { Model } from './Model';
import { Months } from './Months';

afterEach(cleanup);

const MONTH = { customers: 40, predicted: 0.312, realised: null, calibration_error: null, bins: [] };

test('a month whose days have ended shows what happened beside what was predicted', async () => {
  const items = [
    { ...MONTH, month: '2026-11' },
    { ...MONTH, month: '2026-07', realised: 0.275, calibration_error: 0.043 },
  ];
  const result = { data: { horizon_days: 90, items, back_test: null }, error: null };
  await renderPart(<Months result={result as unknown as UseQueryResult<CalibrationReport>} />);
  const rows = screen.getAllByRole('row').map((row) => row.textContent);
  expect(rows[1]).toContain('not yet known');
  expect(rows[2]).toContain('27.5%');
  expect(rows[2]).toContain('4.3 points');
});

test('a model that is not shown says why, and keeps the figures that it failed by', async () => {
  const measures = { roc_auc: 0.6, calibration_error: 0.1, brier: 0.2, calibration_slope: null };
  const model = {
    fitted_on: '2026-11-30',
    basis: 'blend',
    is_shown: false,
    customers: 40,
    sampled_customers: 40,
    sampled_visits: 200,
    sampled_returns: 160,
    back_test: {
      customers: 38,
      horizon_days: 90,
      realised: 0.4,
      model: { ...measures, log_loss: 0.71 },
      kaplan_meier: { ...measures, log_loss: 0.65 },
      bins: [],
    },
  } as unknown as ModelFit;
  const { container } = await renderPart(<Model />, { known: [[churnModelQuery().queryKey, { model }]] });
  expect(container.textContent).toContain('not shown: less accurate here than the simplest prediction');
  const [, logLoss] = screen.getAllByRole('row').map((row) => row.textContent);
  expect(logLoss).toContain('0.71');
  expect(logLoss).toContain('0.65');
});
