/** Requests whose answer is lost or refused: nothing is done twice, and nothing that was typed is lost. */
import type { Page, Route } from '@playwright/test';

import { expect, idOf, itemsOf, test } from './company';
import { settled } from './fixtures';

type Action = { customer_id: number; name: string; state: string; note: string | null };

const BULK = '**/api/v1/actions/bulk';
const row = (page: Page, name: string) => page.locator('tbody tr').filter({ hasText: name });
const isFinal = (route: Route) => !(route.request().postData() ?? '').includes('"dry_run":true');

/** Lets the service carry out a request, and loses its answer. */
async function loseAnswer(route: Route): Promise<void> {
  await route.fetch();
  await route.abort('connectionreset');
}

async function openAtRisk(page: Page, search = ''): Promise<void> {
  await page.goto(`/at-risk${search}`);
  await settled(page);
}

test('an answer that is lost, a page that is loaded again, and it is done once', async ({
  page,
  watch,
  company,
}) => {
  watch.allowed.push(/ERR_CONNECTION_RESET/);
  await openAtRisk(page);
  const keys: string[] = [];
  await page.route(BULK, async (route) => {
    if (!isFinal(route)) return route.continue();
    keys.push(route.request().headers()['idempotency-key'] ?? '');
    return keys.length === 1 ? loseAnswer(route) : route.continue();
  });
  await page.getByRole('checkbox', { name: 'Choose Ada Adler' }).check();
  await page.getByRole('checkbox', { name: 'Choose Bela Busch' }).check();
  await page.getByRole('button', { name: 'Offer to the chosen ones' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByRole('textbox', { name: 'Title of the offer' }).fill('A treat');
  await dialog.getByRole('button', { name: 'Send 2 offers' }).click();
  await expect(page.getByRole('alert')).toContainText('The answer has not arrived');

  await page.reload();
  await settled(page);
  await expect(page.getByRole('alert')).toContainText('Offers to 2 customers were requested.');
  await page.getByRole('button', { name: 'Send again' }).click();
  await expect(page.locator('.bulk-job [data-outcome=ok] dd')).toHaveText('2');
  await expect(page.getByRole('alert')).toHaveCount(0);

  expect(new Set(keys).size).toBe(1);
  expect(keys).toHaveLength(2);
  const offers = (await itemsOf<Action>(company.api, '/api/v1/actions?limit=200')).filter(
    ({ name }) => name === 'personal_offer',
  );
  expect(offers).toHaveLength(2);
  const jobs = await itemsOf<object>(company.api, '/api/v1/admin/jobs?kind=bulk_actions');
  expect(jobs).toHaveLength(1);
});

test('negative control: under another key it would be done twice', async ({ page, watch, company }) => {
  watch.allowed.push(/ERR_CONNECTION_RESET/);
  await openAtRisk(page);
  let sent = 0;
  await page.route(BULK, async (route) => {
    if (!isFinal(route)) return route.continue();
    sent += 1;
    if (sent === 1) return loseAnswer(route);
    return route.continue({ headers: { ...route.request().headers(), 'idempotency-key': 'another' } });
  });
  await page.getByRole('checkbox', { name: 'Choose Ada Adler' }).check();
  await page.getByRole('button', { name: 'Offer to the chosen ones' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Send 1 offer' }).click();
  await page.getByRole('button', { name: 'Send again' }).click();
  await expect(page.locator('.bulk-job')).toBeVisible();

  expect(await itemsOf<object>(company.api, '/api/v1/admin/jobs?kind=bulk_actions')).toHaveLength(2);
});

test('a single call whose answer is lost is planned once', async ({ page, watch, company }) => {
  watch.allowed.push(/ERR_CONNECTION_RESET/);
  let sent = 0;
  await page.route('**/api/v1/customers/*/actions', (route) => {
    sent += 1;
    return sent === 1 ? loseAnswer(route) : route.continue();
  });
  await openAtRisk(page);
  await row(page, 'Emil Egger').locator('th').click();
  await page.keyboard.press('j');
  await row(page, 'Emil Egger').focus();
  await page.keyboard.press('c');
  const dialog = page.getByRole('dialog', { name: 'Call Emil Egger' });
  await expect(dialog.getByRole('link', { name: 'Call +49 30 555005' })).toHaveAttribute(
    'href',
    'tel:+4930555005',
  );
  await dialog.getByRole('textbox', { name: 'Note for the person who calls' }).fill('Ask about the colour');
  await dialog.getByRole('button', { name: 'Plan the call' }).click();
  await expect(dialog.getByRole('alert')).toContainText('The answer has not arrived');
  await dialog.getByRole('button', { name: 'Send again' }).click();
  await expect(page.getByText('The call to Emil Egger is planned.')).toBeVisible();

  const tasks = await itemsOf<{ channel: string; note: string }>(
    company.api,
    `/api/v1/tasks?customer_id=${idOf('Emil Egger')}&channel=call`,
  );
  expect(tasks.filter(({ note }) => note === 'Ask about the colour')).toHaveLength(1);
});

test('what the service refuses stands at its field', async ({ page, company, watch }) => {
  watch.allowed.push(/422/);
  expect(company.id).toBeGreaterThan(0);
  await openAtRisk(page);
  await page.route('**/api/v1/customers/*/actions', async (route) => {
    const body = route.request().postDataJSON() as object;
    await route.continue({ postData: { ...body, note: 'x'.repeat(2_001) } });
  });
  await row(page, 'Ada Adler').getByRole('button', { name: 'Email Ada Adler' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByRole('button', { name: 'Send email' }).click();
  const field = dialog.getByRole('textbox', { name: 'Text for the customer' });
  await expect(field).toHaveAccessibleDescription('At most 2000 characters');
  await expect(field).toHaveAttribute('aria-invalid', 'true');
});
