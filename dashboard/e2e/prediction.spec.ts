/** What is predicted for customers, and how well predictions came true, with the models of the demo. */
import type { APIRequestContext } from '@playwright/test';

import { axeFindings, isTooWide, VIEWS } from './axe';
import { test as companyTest } from './company';
import { createCustomer } from './customers';
import { expect, settled, test, waitForModel } from './fixtures';

/** A customer of the demo who has been away for long. */
const LOST = 297;

type Prediction = {
  churn_probability: number;
  p_return_30: number;
  explanation: { code: string }[];
  curve: { day: number; p_return: number }[];
};
type Report = { items: { customers: number; is_pending: boolean }[]; back_test: { bins: object[] } };

const percent = (share: number): string =>
  new Intl.NumberFormat('en-GB', { style: 'percent', maximumFractionDigits: 1 }).format(share);

async function read<T>(api: APIRequestContext, path: string): Promise<T> {
  const answer = await api.get(path);
  expect(answer.ok(), await answer.text()).toBe(true);
  return (await answer.json()) as T;
}

test('a customer has the chances of the service, a curve for the keyboard, and reasons in words', async ({
  salon,
  api,
}) => {
  await waitForModel(api);
  const found = await read<Prediction>(api, `/api/v1/customers/${LOST}/prediction`);
  await salon.goto(`/customers/${LOST}`);
  await settled(salon);
  const card = salon.getByRole('region', { name: 'Prediction' });
  await expect(card.locator('.outlook dd').first()).toHaveText(percent(found.churn_probability));
  await expect(card.locator('.outlook dd').nth(1)).toHaveText(percent(found.p_return_30));
  const reasons = card.getByRole('list', { name: 'Reasons, the strongest first' });
  await expect(reasons.getByRole('listitem')).toHaveCount(3);
  await expect(reasons).toContainText('Usually comes every');
  await expect(card).toContainText('percentage points on average');

  const slider = card.getByRole('slider', { name: 'Days from now' });
  await slider.focus();
  await slider.press('Home');
  await expect(slider).toHaveAttribute('aria-valuetext', /^Today: 0%/);
  await slider.press('End');
  const last = percent(found.curve.at(-1)?.p_return ?? 0);
  await expect(slider).toHaveAttribute('aria-valuetext', new RegExp(`^Within 365 days: ${last}`));
  await card.getByRole('button', { name: 'Table: Chance of a return' }).click();
  await expect(card.getByRole('row')).toHaveCount(found.curve.length + 1);

  await salon.goto(`/customers/${LOST}?as_of=2026-01-15`);
  await settled(salon);
  await expect(card).toContainText('has no past');
});

test('a customer without an appointment is told so', async ({ salon, api }) => {
  await waitForModel(api);
  const id = await createCustomer(api, { name: 'Nora Neu' });
  await salon.goto(`/customers/${id}`);
  await settled(salon);
  await expect(salon.getByRole('region', { name: 'Prediction' })).toContainText(
    'There is no appointment yet',
  );
});

companyTest('without a model nothing is predicted, and the pages say why', async ({ page, company }) => {
  await page.goto('/customers/1');
  await settled(page);
  await expect(page.getByRole('region', { name: 'Prediction' })).toContainText('There is no model yet');
  await page.goto('/at-risk');
  await settled(page);
  await expect(page.locator('tbody tr').first()).toContainText('not known');
  await page.goto('/calibration');
  await settled(page);
  await expect(page.getByText('There is no model yet')).toBeVisible();
  await expect(page.getByText('Nothing to compare yet')).toBeVisible();

  await company.signInAs('agent');
  await page.goto('/calibration');
  await settled(page);
  await expect(page.getByText('It needs the right analytics:read')).toBeVisible();
  await expect(page.getByRole('navigation').getByRole('link', { name: 'Predictions' })).toHaveCount(0);
});

test('the customers at risk are sorted by expected loss, and so are all customers', async ({
  salon,
  api,
}) => {
  await waitForModel(api);
  for (const [path, list] of [
    ['/at-risk', '/portal/customers/at-risk?sort=-expected_loss&limit=3'],
    ['/customers', '/api/v1/customers?sort=-expected_loss&limit=3'],
  ] as const) {
    await salon.goto(path);
    await settled(salon);
    const header = salon.getByRole('columnheader', { name: 'Expected loss' });
    await header.getByRole('button').click();
    await expect(header).toHaveAttribute('aria-sort', 'descending');
    const { items } = await read<{ items: { name: string; churn_probability: number }[] }>(api, list);
    for (const [index, { name, churn_probability: chance }] of items.entries()) {
      const row = salon.locator('tbody tr').nth(index);
      await expect(row).toContainText(name);
      await expect(row.locator('.expected-loss')).toContainText(`${Math.round(chance * 100)}% to churn`);
    }
  }
});

test('the early warning lists those in stages of progress by expected loss', async ({ salon, api }) => {
  await waitForModel(api);
  await salon.goto('/at-risk');
  await settled(salon);
  await salon.getByRole('link', { name: /^Early warning/ }).click();
  await expect(salon).toHaveURL(/sort=-expected_loss/);
  await expect(salon.getByRole('heading', { level: 1, name: 'Customers' })).toBeVisible();
  const chip = salon.locator('tbody .chip');
  await expect(chip.first()).toBeVisible();
  const stages = new Set(await chip.allTextContents());
  expect(stages.size).toBeGreaterThan(0);
  for (const stage of ['At Risk', 'Churned']) expect(stages).not.toContain(stage);
});

test('predictions are compared with what happened: curve, table, months, and the model', async ({
  salon,
  api,
}) => {
  await waitForModel(api);
  const report = await read<Report>(api, '/api/v1/analytics/calibration');
  await salon.goto('/calibration');
  await settled(salon);
  const curve = salon.getByRole('region', { name: 'Predicted and realised' });
  await expect(curve.locator('circle')).toHaveCount(report.back_test.bins.length);
  await expect(curve.getByRole('slider', { name: 'Group of customers' })).toHaveAttribute(
    'aria-valuetext',
    /^\d+ customers: predicted/,
  );
  await curve.getByRole('button', { name: /^Table/ }).click();
  await expect(curve.locator('tbody tr')).toHaveCount(report.back_test.bins.length);
  const months = salon.getByRole('region', { name: 'By month' });
  await expect(months.locator('tbody tr')).toHaveCount(report.items.length);
  await expect(months.locator('tbody tr').first()).toContainText('not yet known');
  const model = salon.getByRole('region', { name: 'The model' });
  await expect(model.getByRole('row')).toHaveCount(6);
  await expect(model).toContainText('appointments and rhythm of the customers');
});

test('axe finds nothing, wide and on a phone, light and dark, and nothing is too wide', async ({
  salon,
  api,
}) => {
  test.setTimeout(150_000);
  await waitForModel(api);
  for (const path of ['/calibration', `/customers/${LOST}`]) {
    await salon.goto(path);
    await settled(salon);
    for (const { name, width, colorScheme } of VIEWS) {
      await salon.setViewportSize({ width, height: 900 });
      await salon.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
      expect(await axeFindings(salon), `${path}, ${name}`).toEqual([]);
    }
    await salon.setViewportSize({ width: 320, height: 700 });
    expect(await isTooWide(salon), path).toBe(false);
  }
});
