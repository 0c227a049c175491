import type { Page } from '@playwright/test';

import { expect, settled, signIn, test } from './fixtures';

type List = { items: { customer_id: number; name: string; phone: string }[] };
type Today = { tasks: { overdue: number; today: number }; at_risk: number };

const finder = (page: Page) => page.getByRole('combobox', { name: 'Find a customer or a page' });

test('the keyboard alone finds a customer by name and opens it, and finds it again as recent', async ({
  salon,
  api,
}) => {
  const { items } = (await (await api.get('/api/v1/customers?sort=-lifetime_value&limit=1')).json()) as List;
  const { customer_id: id, name } = items[0] as List['items'][number];
  await salon.goto('/');
  await settled(salon);
  await salon.keyboard.press('Control+k');
  const field = finder(salon);
  await expect(field).toBeFocused();
  await field.fill(`${name} ${id}`);
  const option = salon.getByRole('option', { name });
  await expect(option).toHaveAttribute('aria-selected', 'true');
  expect(await field.getAttribute('aria-activedescendant')).toBe(await option.getAttribute('id'));
  await salon.keyboard.press('Enter');
  await expect(salon).toHaveURL(new RegExp(`/customers/${id}$`));
  await expect(salon.getByRole('dialog')).toHaveCount(0);

  await salon.keyboard.press('Control+k');
  const recent = salon.getByRole('group', { name: 'Recently opened' });
  await expect(recent.getByRole('option', { name })).toBeVisible();
  const stored = await salon.evaluate(() =>
    [sessionStorage, localStorage].map((store) => JSON.stringify(store)).join(),
  );
  expect(stored).toContain(String(id));
  expect(stored).not.toContain(name);
});

test('pages are found by the beginning of their names, arrows choose, Escape gives the focus back', async ({
  salon,
}) => {
  await salon.goto('/');
  await settled(salon);
  const button = salon.getByRole('button', { name: 'Find a customer or a page' });
  await button.click();
  const field = finder(salon);
  await expect(salon.getByRole('option').first()).toHaveAttribute('aria-selected', 'true');
  await field.press('ArrowUp');
  await expect(salon.getByRole('option').last()).toHaveAttribute('aria-selected', 'true');
  await field.press('ArrowDown');
  await field.fill('cust');
  await expect(salon.getByRole('option', { name: 'Customers', exact: true })).toHaveAttribute(
    'aria-selected',
    'true',
  );
  await field.press('Escape');
  await expect(salon.getByRole('dialog')).toHaveCount(0);
  await expect(button).toBeFocused();
});

test('what is shown is the answer to the last words', async ({ salon, watch }) => {
  await salon.goto('/customers');
  await settled(salon);
  await salon.keyboard.press('Control+k');
  watch.api.length = 0;
  await finder(salon).pressSequentially('schmidt');
  await expect(salon.getByRole('option', { name: /Schmidt/ }).first()).toBeVisible();
  await expect(salon.getByRole('dialog').getByRole('status')).toHaveText(/results?$/);
  const asked = watch.api.flatMap((url) => new URL(url).searchParams.get('q') ?? []);
  expect(asked.at(-1)).toBe('schmidt');
});

test('what is typed right after the key is in the field, and no letter of it is a shortcut', async ({
  salon,
}) => {
  await salon.goto('/today');
  await settled(salon);
  await salon.keyboard.press('Control+k');
  await salon.keyboard.type('jurgen');
  await expect(finder(salon)).toHaveValue('jurgen');
  await expect(salon.getByRole('dialog')).toHaveCount(1);
  await expect(salon.getByRole('option', { name: /Jürgen/ }).first()).toBeVisible();
});

test('g c goes to the customers, ? lists the keys, and single letters can be switched off', async ({
  salon,
}) => {
  await salon.goto('/');
  await settled(salon);
  await salon.keyboard.press('g');
  await salon.keyboard.press('c');
  await expect(salon.getByRole('heading', { level: 1 })).toHaveText('Customers');
  await settled(salon);
  await salon.keyboard.press('?');
  const dialog = salon.getByRole('dialog', { name: 'Keyboard shortcuts' });
  await expect(dialog).toContainText('Go to Overview');
  await expect(dialog).toContainText('Next row');
  await salon.keyboard.press('g');
  await salon.keyboard.press('o');
  await expect(salon).toHaveURL(/\/customers$/);
  await dialog.getByRole('checkbox', { name: 'Single letters act as shortcuts' }).uncheck();
  await salon.keyboard.press('Escape');
  await expect(dialog).toHaveCount(0);
  await salon.keyboard.press('g');
  await salon.keyboard.press('o');
  await salon.keyboard.press('/');
  await expect(salon).toHaveURL(/\/customers$/);
  await salon.keyboard.press('Control+k');
  await expect(finder(salon)).toBeFocused();
});

test('letters that are typed into a field are only typed', async ({ salon }) => {
  await salon.goto('/customers');
  await settled(salon);
  const box = salon.getByRole('searchbox');
  await box.focus();
  await salon.keyboard.type('go?/j');
  await expect(box).toHaveValue('go?/j');
  await expect(salon.getByRole('dialog')).toHaveCount(0);
});

test('the brackets choose a shorter and a longer period of the overview', async ({ salon }) => {
  await salon.goto('/');
  await settled(salon);
  await salon.keyboard.press(']');
  await expect(salon).toHaveURL(/period=quarter/);
  await salon.keyboard.press('[');
  await salon.keyboard.press('[');
  await expect(salon).toHaveURL(/period=week/);
});

test('the rail has the counts of the API', async ({ salon, api }) => {
  await salon.goto('/customers');
  await settled(salon);
  const { total } = (await (await api.get('/api/v1/customers?count=true&limit=1')).json()) as {
    total: number;
  };
  const today = (await (await api.get('/api/v1/today')).json()) as Today;
  const rail = salon.locator('.rail');
  await expect(rail.getByRole('link', { name: /Customers/ })).toContainText(String(total));
  for (const [name, count] of [
    ['Today', today.tasks.overdue + today.tasks.today],
    ['At risk', today.at_risk],
  ] as const) {
    const link = rail.getByRole('link', { name: new RegExp(name) });
    if (await link.isVisible()) await expect(link).toContainText(String(count));
  }
});

test('the badge at the foot of the rail says whether the figures agree', async ({ salon }) => {
  let status = 'ok';
  await salon.route('**/api/v1/today', async (route) => {
    const answer = await route.fetch();
    const today = (await answer.json()) as object;
    await route.fulfill({
      response: answer,
      json: { ...today, agreement: { status, at: '2026-03-01T01:00:04Z' } },
    });
  });
  await salon.goto('/customers');
  await expect(salon.locator('.agreement')).toContainText('All figures agree');
  await expect(salon.locator('.agreement')).toContainText('1 Mar');
  status = 'failed';
  await salon.reload();
  await expect(salon.locator('.agreement')).toContainText('Figures differ');
});

test('the front desk finds customers, and sees neither the overview nor counts that it may not read', async ({
  page,
  watch,
  service,
  api,
}) => {
  expect(watch.problems).toEqual([]);
  const answer = await api.post('/api/v1/admin/keys', { data: { name: 'front desk', role: 'agent' } });
  const { secret } = (await answer.json()) as { secret: string };
  await signIn(page.context(), service, secret);
  await page.goto('/customers');
  await settled(page);
  await expect(page.locator('tbody tr').first()).toBeVisible();
  await expect(page.locator('.failure')).toHaveCount(0);
  await page.keyboard.press('Control+k');
  await expect(page.getByRole('option', { name: 'Overview' })).toHaveCount(0);
});
