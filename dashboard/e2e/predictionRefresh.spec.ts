/** An open page reads new predictions when the fit of a model ends. */
import type { Page } from '@playwright/test';

import { expect, test } from './company';
import { settled } from './fixtures';

const event = (type: string, data: object): string =>
  `event: ${type}\nid: 1\ndata: ${JSON.stringify({ type, data })}\n\n`;

/**
 * Has the stream tell the progress of a fit after the page is read, and then that a customer is at risk, which refreshes
 * the counts of the day. Returns how often the prediction was asked for when the counts have been read again.
 */
async function predictionsAfter(page: Page, status: string): Promise<number> {
  const asked = { prediction: 0, today: 0 };
  let isTold = false;
  for (const [name, path] of [
    ['prediction', '**/api/v1/customers/1/prediction'],
    ['today', '**/api/v1/today'],
  ] as const) {
    await page.route(path, async (route) => {
      asked[name] += 1;
      await route.continue();
    });
  }
  await page.route('**/api/v1/stream?*', async (route) => {
    await expect.poll(() => asked.prediction).toBeGreaterThan(0);
    const news = event('job.progress', { kind: 'fit_churn_model', status }) + event('customer.at_risk', {});
    await route.fulfill({ contentType: 'text/event-stream', body: isTold ? ':\n\n' : news });
    isTold = true;
  });
  await page.goto('/customers/1');
  await settled(page);
  await expect.poll(() => asked.today, { timeout: 60_000 }).toBeGreaterThan(1);
  return asked.prediction;
}

test('when the fit of a model ends, the prediction is read again', async ({ page, company }) => {
  expect(company.id).toBeGreaterThan(0);
  expect(await predictionsAfter(page, 'done')).toBe(2);
});

test('negative control: the progress of a fit that goes on leaves the prediction', async ({
  page,
  company,
}) => {
  expect(company.id).toBeGreaterThan(0);
  expect(await predictionsAfter(page, 'running')).toBe(1);
});
