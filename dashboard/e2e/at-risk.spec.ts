import type { Page, Route } from '@playwright/test';

import { axeFindings, isTooWide, VIEWS } from './axe';
import { expect, idOf, itemsOf, PEOPLE, test } from './company';
import { settled } from './fixtures';

type Action = { customer_id: number; name: string; state: string; note: string | null };

const BULK = '**/api/v1/actions/bulk';
const names = (page: Page) => page.locator('tbody th .customer-link').allTextContents();
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

test('the service sorts, and the header says how', async ({ page, company }) => {
  expect(company.id).toBeGreaterThan(0);
  await openAtRisk(page);
  const byDays = PEOPLE.map(({ name }) => name);
  const days = page.getByRole('columnheader', { name: 'Days away' });
  await expect(days).toHaveAttribute('aria-sort', 'none');
  await days.getByRole('button').click();
  await expect(days).toHaveAttribute('aria-sort', 'descending');
  await expect.poll(() => names(page)).toEqual(byDays);
  await expect(page).toHaveURL(/sort=-days_inactive/);

  await days.getByRole('button').click();
  await expect(days).toHaveAttribute('aria-sort', 'ascending');
  await expect.poll(() => names(page)).toEqual(byDays.toReversed());
});

test('a link shows the filter that it was copied with', async ({ page, company }) => {
  expect(company.id).toBeGreaterThan(0);
  await openAtRisk(page);
  await page.getByRole('combobox', { name: 'Days away' }).selectOption('120');
  await expect.poll(() => names(page)).toHaveLength(3);
  await page.getByRole('searchbox').fill('bela');
  await expect.poll(() => names(page)).toEqual(['Bela Busch']);
  const link = page.url();
  await page.goto('/at-risk');
  await settled(page);
  await expect.poll(() => names(page)).toHaveLength(PEOPLE.length);

  await page.goto(link);
  await settled(page);
  await expect.poll(() => names(page)).toEqual(['Bela Busch']);
  await expect(page.getByRole('combobox', { name: 'Days away' })).toHaveValue('120');
  await page.getByRole('searchbox').fill('nobody at all');
  await expect(page.getByText('No customer at risk matches')).toBeVisible();
  await page.getByRole('button', { name: 'Clear filters' }).first().click();
  await expect.poll(() => names(page)).toHaveLength(PEOPLE.length);
});

test('an email to two chosen rows is in the delivery log for exactly those', async ({ page, company }) => {
  await openAtRisk(page);
  await page.getByRole('checkbox', { name: 'Choose Ada Adler' }).check();
  await page.getByRole('checkbox', { name: 'Choose Emil Egger' }).check();
  await page.getByRole('button', { name: 'Email to the chosen ones' }).click();
  const dialog = page.getByRole('dialog');
  await expect(dialog.locator('[data-outcome=ok] dd')).toHaveText('2');
  await dialog.getByRole('textbox', { name: 'Text for the customer' }).fill('We miss you.');
  await dialog.getByRole('button', { name: 'Send 2 emails' }).click();
  await expect(page.locator('.bulk-job [data-outcome=ok] dd')).toHaveText('2');
  await expect(page).toHaveURL(/job=\d+/);

  const sent = (await itemsOf<Action>(company.api, '/api/v1/actions?limit=200')).filter(
    ({ name }) => name === 'personal_email',
  );
  expect(sent.map((action) => action.customer_id).toSorted((a, b) => a - b)).toEqual([
    idOf('Ada Adler'),
    idOf('Emil Egger'),
  ]);
  expect(sent.map(({ note }) => note)).toEqual(['We miss you.', 'We miss you.']);
});

test('for all that match, the counts before are the counts after', async ({ page, company }) => {
  await openAtRisk(page, '?days=105');
  await page.getByRole('checkbox', { name: 'Choose all on this page' }).check();
  await page.getByRole('checkbox', { name: 'Choose Ada Adler' }).uncheck();
  await page.getByRole('button', { name: 'Choose all 4 that match' }).click();
  await expect(page.getByText('All 4 that match are chosen')).toBeVisible();
  await page.getByRole('button', { name: 'Email to the chosen ones' }).click();
  const dialog = page.getByRole('dialog');
  const counts = { ok: '2', no_address: '1', no_consent: '1' };
  for (const [outcome, count] of Object.entries(counts))
    await expect(dialog.locator(`[data-outcome=${outcome}] dd`)).toHaveText(count);
  await dialog.getByRole('button', { name: 'Send 2 emails' }).click();

  for (const [outcome, count] of Object.entries(counts))
    await expect(page.locator(`.bulk-job [data-outcome=${outcome}] dd`)).toHaveText(count);
  const logged = (await itemsOf<Action>(company.api, '/api/v1/actions?limit=200')).filter(
    ({ name }) => name === 'personal_email',
  );
  expect(logged.map((action) => action.customer_id).toSorted((a, b) => a - b)).toEqual([1, 2, 3, 4]);
});

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

test('a customer without an email address: the button can be focused and says why', async ({ salon }) => {
  await openAtRisk(salon, '?q=Bj%C3%B6rn');
  const email = salon.getByRole('button', { name: /^Email Björn/ });
  await expect(email).toHaveAttribute('aria-disabled', 'true');
  await expect(email).toHaveAccessibleDescription('No email address is known');
  await email.focus();
  await expect(salon.getByRole('tooltip')).toHaveText('No email address is known');
  await salon.keyboard.press('Enter');
  await expect(salon.getByRole('dialog')).toHaveCount(0);
});

test('the analysis is refreshed, and the list follows', async ({ page, company }) => {
  await openAtRisk(page);
  await expect.poll(() => names(page)).toHaveLength(PEOPLE.length);
  const booked = await company.api.post('/api/v1/events', {
    data: {
      id: 'back',
      source: 'e2e',
      type: 'appointment_completed',
      customer_id: idOf('Bela Busch'),
      occurred_at: new Date().toISOString(),
      data: { total_amount: 80 },
    },
  });
  expect(booked.ok()).toBe(true);
  await page.getByRole('button', { name: 'Refresh analysis' }).click();
  await expect(page.getByText('The scores of 5 customers are new.')).toBeVisible();
  await expect.poll(() => names(page)).not.toContain('Bela Busch');
  expect(await itemsOf<object>(company.api, '/api/v1/admin/jobs?kind=rescore')).toHaveLength(1);
});

test('j, k and x choose rows without a mouse, and the list asks little', async ({ page, company, watch }) => {
  expect(company.id).toBeGreaterThan(0);
  await openAtRisk(page);
  expect(watch.api.length).toBeLessThanOrEqual(16);
  await page.keyboard.press('j');
  await page.keyboard.press('x');
  await page.keyboard.press('j');
  await page.keyboard.press('j');
  await page.keyboard.press('k');
  await page.keyboard.press('x');
  await expect(page.getByText('2 chosen')).toBeVisible();
  await expect(page.locator('tbody tr.chosen')).toHaveCount(2);
  await expect(page.locator('tbody tr').nth(1)).toBeFocused();
});

test('axe finds nothing, wide and on a phone, light and dark, and nothing is too wide', async ({
  page,
  company,
}) => {
  test.setTimeout(120_000);
  expect(company.id).toBeGreaterThan(0);
  await page.goto('/at-risk');
  await settled(page);
  await page.getByRole('checkbox', { name: 'Choose Ada Adler' }).check();
  for (const { name, width, colorScheme } of VIEWS) {
    await page.setViewportSize({ width, height: 900 });
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    expect(await axeFindings(page), name).toEqual([]);
  }
  await page.setViewportSize({ width: 320, height: 700 });
  expect(await isTooWide(page)).toBe(false);
});
