import type { Page } from '@playwright/test';

import { axeFindings, isTooWide, VIEWS } from './axe';
import { expect, idOf, itemsOf, PEOPLE, test } from './company';
import { settled } from './fixtures';

type Action = { customer_id: number; name: string; state: string; note: string | null };

const names = (page: Page) => page.locator('tbody th .customer-link').allTextContents();

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
