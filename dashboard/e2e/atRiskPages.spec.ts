/** More customers at risk than a page holds, and who of them is called. */
import type { APIRequestContext } from '@playwright/test';

import { expect, test } from './company';
import { settled } from './fixtures';

const DAY_MS = 86_400_000;
const MANY = 60;

/** Adds customers who are at risk: the last appointment of each was a day earlier than that of the one before. */
async function addMany(api: APIRequestContext): Promise<void> {
  const events = Array.from({ length: MANY }, (_, index) => ({
    id: `many-${index}`,
    source: 'e2e',
    type: 'appointment_completed',
    customer_id: 1_000 + index,
    occurred_at: new Date(Date.now() - (95 + index) * DAY_MS).toISOString(),
    data: { total_amount: 50 },
  }));
  const sent = await api.post('/api/v1/events/batch', { data: events });
  expect(sent.ok(), await sent.text()).toBe(true);
}

test('pages go forward and back, also by the browser, and none shows a customer twice', async ({
  page,
  company,
}) => {
  await addMany(company.api);
  const ids = () =>
    page
      .locator('tbody th .customer-link')
      .evaluateAll((links) => links.map((link) => link.getAttribute('href')));
  await page.goto('/at-risk?sort=-days_inactive');
  await settled(page);
  const first = await ids();
  expect(first).toHaveLength(50);
  const pager = page.getByRole('navigation', { name: 'Pages' });
  await pager.getByRole('button', { name: 'Next' }).click();
  await expect(pager).toContainText('51–65 of 65');
  await expect(page.locator('tbody tr')).toHaveCount(15);
  const second = await ids();
  expect(new Set([...first, ...second]).size).toBe(65);
  await expect(pager.getByRole('button', { name: 'Next' })).toHaveCount(0);
  await page.goBack();
  await expect(page.locator('tbody tr')).toHaveCount(50);
  expect(await ids()).toEqual(first);
});

test('nobody is called twice: an open call and a missing number are counted before', async ({
  page,
  company,
}) => {
  await addMany(company.api);
  await page.goto('/at-risk?sort=days_inactive');
  await settled(page);
  await page.getByRole('checkbox', { name: 'Choose Emil Egger' }).check();
  await page.getByRole('checkbox', { name: 'Choose Customer 1000' }).check();
  await page.getByRole('button', { name: 'Call the chosen ones' }).click();
  const dialog = page.getByRole('dialog', { name: 'Call 2 customers' });
  for (const [outcome, count] of Object.entries({ ok: '0', no_address: '1', already_open: '1' }))
    await expect(dialog.locator(`[data-outcome=${outcome}] dd`)).toHaveText(count);
  await expect(dialog.getByRole('button', { name: 'Nobody to call' })).toBeDisabled();
});
