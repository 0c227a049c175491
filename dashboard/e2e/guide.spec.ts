/** The components of the guide, as printed, draw what the portal endpoints answer. */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import type { Page } from '@playwright/test';

import { test as inCompany } from './company';
import { expect, SALON, test } from './fixtures';

const pathOf = (name: string) => fileURLToPath(new URL(name, import.meta.url));
const GUIDE = pathOf('../../../shared/design/customer-journey-guide.md');
const HTML =
  '<!doctype html><link rel="icon" href="data:,"><div id="root"></div><script type="module" src="/guide.js"></script>';

test.beforeAll(() => {
  test.setTimeout(300_000);
  test.skip(!existsSync(GUIDE), 'the guide is not beside the project');
  execFileSync(process.execPath, [pathOf('guide/bundle.ts'), GUIDE]);
});

async function draw(page: Page, query: string): Promise<void> {
  await page.route('**/guide.js', (route) => route.fulfill({ path: pathOf('guide/printed/guide.js') }));
  await page.route('**/guide?*', (route) => route.fulfill({ contentType: 'text/html', body: HTML }));
  await page.goto(`/guide?${query}`);
}

test('CustomerJourneyTimeline shows the stage and every transition', async ({ salon, api }) => {
  const answer = await api.get('/portal/customers/297/journey');
  const { journey, transitions } = (await answer.json()) as {
    journey: { stage_name: string };
    transitions: { to_stage_name: string }[];
  };
  await draw(salon, 'view=timeline&customer=297');
  await expect(salon.locator('.journey-header')).toContainText(journey.stage_name);
  await expect(salon.locator('.transition-item h4')).toHaveText([
    ...transitions.map((each) => each.to_stage_name),
    'Journey Started',
  ]);
});

test('JourneyAnalytics shows the figures, the funnel and the flows', async ({ salon, api }) => {
  const answer = await api.get('/portal/analytics/customer-journey');
  const { total_customers: total } = (await answer.json()) as { total_customers: number };
  await draw(salon, `view=analytics&company=${SALON}`);
  await expect(salon.getByText('Total Customers').locator('..')).toContainText(total.toLocaleString('en'));
  await expect(salon.locator('canvas')).toHaveCount(2);
  await expect(salon.locator('.stage-times')).toContainText('vip');
});

inCompany('CustomerRiskDashboard shows customers without name and address', async ({ page, company }) => {
  await company.api.put('/api/v1/customers/1', { data: { name: null, email: null } });
  await draw(page, `view=risk&company=${company.id}`);
  await expect(page.locator('tbody tr.ant-table-row')).toHaveCount(5);
  await expect(page.locator('tbody')).toContainText('170 days');
  await expect(page.locator('tbody')).toContainText('€100.00');
  await expect(page.getByRole('button', { name: /Call|Email|Offer/ }).first()).toBeVisible();
});
