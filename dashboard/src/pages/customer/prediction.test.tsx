import { cleanup, screen } from '@testing-library/react';
import { afterEach, expect, test } from 'vitest';

import { predictionQuery, type Prediction as Predicted } from '../../api/queries/predictions';
import { renderPart } from '../../parts/testing';
import { BootContext, type Boot } from '../../parts/useBoot';
import '../../words/customerPage';
import { ViewContext, type View } from './context';
import { ModelLine } from './ModelLine';
import { Outlook } from './Outlook';
import { Prediction } from './Prediction';

afterEach(cleanup);

const BOOT = { scopes: ['customers:read'] } as unknown as Boot;
const MODEL: NonNullable<Predicted['model']> = {
  id: 1,
  version: 1,
  fitted_on: '2026-11-30',
  basis: 'blend',
  is_shown: true,
  log_loss: 0.46,
  calibration_error: 0.0704,
};

const NO_DAYS = { next_visit_date: null, forecast_churn_date: null };

const line = (model: object) => (
  <BootContext value={BOOT}>
    <ModelLine model={{ ...MODEL, ...model }} />
  </BootContext>
);
const card = (view: Partial<View>) => (
  <ViewContext value={view as View}>
    <Prediction />
  </ViewContext>
);

test('the model says what it rests on, and how far off it was here', async () => {
  const { container } = await renderPart(line({}));
  expect(container.textContent).toContain('off by 7 percentage points');
  expect(container.textContent).not.toContain('Little data');
  expect(screen.queryByRole('link')).toBeNull();
});

test.each(['purchase_model', 'prior'])('a model of %s says that there is little data', async (basis) => {
  const { container } = await renderPart(line({ basis, calibration_error: null }));
  expect(container.querySelector('.little')?.textContent).toMatch(/^Little data/);
  expect(container.textContent).toContain('not tested on this company yet');
});

test('a model that is not shown has no basis', async () => {
  const { container } = await renderPart(line({ is_shown: false }), { language: 'de' });
  expect(container.textContent).not.toContain('Rhythmus');
  expect(container.textContent).toContain('Modell vom 30.11.2026');
});

test('without reasons and without a day of churn the words say so', async () => {
  const found = {
    churn_probability: 0.6,
    p_return_30: 0.2,
    p_return_90: null,
    next_visit_date: '2026-12-24',
    forecast_churn_date: null,
    still_customer_probability: 0.9,
    explanation: [],
  } as unknown as Predicted;
  const { container } = await renderPart(<Outlook found={found} />);
  const values = [...container.querySelectorAll('dd')].map((value) => value.textContent);
  expect(values).toEqual(['60%', '20%', '–', '24 Dec 2026', 'none within three years', '90%']);
  expect(container.textContent).toContain('at least 5 returns');
});

test('nothing is predicted for an erased customer, and nothing for a past day', async () => {
  await renderPart(card({ isErased: true, instant: undefined }));
  expect(screen.getByText('Nothing is predicted for an erased customer.')).toBeDefined();
  cleanup();
  await renderPart(card({ isErased: false, instant: '2026-01-15T23:00:00Z' }));
  expect(screen.getByText(/has no past/)).toBeDefined();
});

test('a model that was worse than the baseline here is named as the reason, with the day of its fit', async () => {
  const found = {
    unavailable_reason: 'worse_than_baseline',
    curve: [],
    explanation: [],
    model: { ...MODEL, is_shown: false },
  };
  const known = [[predictionQuery(7).queryKey, found]] as const;
  const { container } = await renderPart(
    <BootContext value={BOOT}>{card({ id: 7, isErased: false, instant: undefined })}</BootContext>,
    { known },
  );
  expect(container.textContent).toContain('Predictions are not shown');
  expect(container.textContent).toContain('less accurate than a simple average by days away');
  expect(container.textContent).toContain('Model of 30 Nov 2026');
  expect(container.textContent).not.toContain('Chance to churn');
});

const reason = (code: string, direction: string, ratio: number) => ({ code, direction, ratio, params: {} });
const renderReasons = (...explanation: object[]) =>
  renderPart(<Outlook found={{ ...NO_DAYS, explanation } as unknown as Predicted} />);

test('reasons that point in opposite directions are said to do so', async () => {
  const late = reason('own_rhythm', 'later', 0.4);
  const { container } = await renderReasons(late, reason('loyalty', 'sooner', 2.2));
  expect(container.textContent).toContain('These reasons point in opposite directions');
  expect(container.textContent).toContain('less likely: 0.4 ×');
  expect(container.textContent).toContain('more likely: 2.2 ×');
  cleanup();
  const { container: alike } = await renderReasons(late, reason('loyalty', 'later', 0.5));
  expect(alike.textContent).not.toContain('opposite directions');
});
