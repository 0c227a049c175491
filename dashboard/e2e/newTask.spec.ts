/** A new task: about the customer that is open, or about none; from buttons, keys and the palette. */
import type { APIRequestContext, Page } from '@playwright/test';

import { axeFindings } from './axe';
import { expect, idOf, itemsOf, test } from './company';
import { openCustomer } from './customers';
import { NOW, openToday, section } from './tasks';

test.use({ clock: NOW });

type Created = { title: string; customer_id: number | null; due_at: string; assignee: string | null };

const dialogOf = (page: Page, name = 'New task') => page.getByRole('dialog', { name });
const what = (page: Page) => page.getByLabel('What is to be done');
const created = async (api: APIRequestContext, title: string) =>
  (await itemsOf<Created>(api, '/api/v1/tasks?limit=200')).filter((task) => task.title === title);

test('the palette creates a task of the customer that is open, due when the form says', async ({
  page,
  company,
}) => {
  await openCustomer(page, idOf('Ada Adler'));
  await page.keyboard.press('Control+k');
  const here = page.getByRole('group', { name: 'On this page' });
  await expect(here.getByRole('option', { name: /^New task/ })).toBeVisible();
  await page.getByRole('combobox', { name: 'Find a customer or a page' }).fill('new task');
  await page.keyboard.press('Enter');
  const dialog = dialogOf(page, 'New task for Ada Adler');
  await expect(what(page)).toBeFocused();
  await expect(dialog.getByRole('button', { name: 'Create the task' })).toBeDisabled();
  await page.keyboard.type('Send the price list');
  // An hour from now at least, at a full hour: 10:00 in Berlin becomes 11:00.
  await expect(dialog.getByLabel('At', { exact: true })).toHaveValue('11:00');
  await dialog.getByLabel('Due on').fill('30 Mar 2026');
  await page.keyboard.press('Enter');
  await dialog.getByLabel('At', { exact: true }).fill('14:30');
  await dialog.getByLabel('Who does it').fill('Mara');
  await page.keyboard.press('Enter');

  await expect(dialog).toHaveCount(0);
  await expect(page.getByText('Send the price list is due on Mon 30 Mar, 14:30.')).toBeVisible();
  const line = page.getByRole('region', { name: 'Open now' }).getByRole('listitem');
  await expect(line.filter({ hasText: 'Send the price list' })).toContainText('for Mara');
  expect(await created(company.api, 'Send the price list')).toMatchObject([
    { customer_id: idOf('Ada Adler'), due_at: '2026-03-30T12:30:00Z', assignee: 'Mara' },
  ]);
});

test('on today a task without a customer is created, and is in the list', async ({ page, company }) => {
  await openToday(page);
  await page.keyboard.press('n');
  await expect(what(page)).toBeFocused();
  expect(await axeFindings(page)).toEqual([]);
  await page.keyboard.press('Escape');
  await expect(dialogOf(page)).toHaveCount(0);
  await page.getByRole('button', { name: 'New task' }).click();
  await what(page).fill('Order towels');
  await dialogOf(page).getByRole('button', { name: 'Create the task' }).click();

  await expect(section(page, 'Today')).toContainText('Order towels');
  expect(await created(company.api, 'Order towels')).toMatchObject([
    { customer_id: null, due_at: '2026-03-10T10:00:00Z', assignee: null },
  ]);
});

test('an answer that is lost: the task is created once, and a time in the past is said', async ({
  page,
  company,
  watch,
}) => {
  watch.allowed.push(/ERR_CONNECTION_RESET/);
  let sent = 0;
  await page.route('**/api/v1/tasks', async (route) => {
    sent += 1;
    if (sent > 1) return route.continue();
    await route.fetch();
    return route.abort('connectionreset');
  });
  await openCustomer(page, idOf('Bela Busch'));
  await page.getByRole('button', { name: 'New task' }).click();
  const dialog = dialogOf(page, 'New task for Bela Busch');
  await what(page).fill('Ask about the colour');
  await dialog.getByLabel('At', { exact: true }).fill('08:00');
  await expect(dialog).toContainText('overdue at once');
  await dialog.getByRole('button', { name: 'Create the task' }).click();
  await expect(dialog.getByRole('alert')).toContainText('The answer has not arrived');
  await expect(what(page)).toBeDisabled();
  await dialog.getByRole('button', { name: 'Send again' }).click();

  await expect(dialog).toHaveCount(0);
  expect(sent).toBe(2);
  expect(await created(company.api, 'Ask about the colour')).toHaveLength(1);
});

test('who may not create tasks is not offered one', async ({ page, company }) => {
  const made = await company.api.post('/api/v1/admin/keys', {
    data: { name: 'reader', scopes: ['customers:read', 'actions:read', 'stages:read'] },
  });
  const { secret } = (await made.json()) as { secret: string };
  await company.signInWith(secret);
  await openCustomer(page, idOf('Ada Adler'));
  await expect(page.getByRole('button', { name: 'New task' })).toHaveCount(0);
  await page.keyboard.press('Control+k');
  await expect(page.getByRole('option').first()).toBeVisible();
  await expect(page.getByRole('option', { name: /^New task/ })).toHaveCount(0);
});
