import type { APIRequestContext, Page } from '@playwright/test';

import { axeFindings, isTooWide, VIEWS } from './axe';
import { expect, idOf, itemsOf, test } from './company';
import { settled } from './fixtures';

type Task = {
  id: number;
  version: number;
  status: string;
  due_at: string;
  assignee: string | null;
  outcome: string;
};

/** A Tuesday, 10 in the morning in Berlin: no test depends on when it runs. */
const NOW = '2026-03-10T09:00:00Z';
test.use({ clock: NOW });

/** Requests a call, and sets when it is due. */
async function addTask(
  api: APIRequestContext,
  name: string,
  title: string,
  dueAt: string,
  assignee: string | null = null,
): Promise<Task> {
  const answer = await api.post(`/api/v1/customers/${idOf(name)}/actions`, {
    data: { type: 'call', title, assignee },
  });
  const { task_id: id } = (await answer.json()) as { task_id: number };
  return change(api, id, { due_at: dueAt });
}

const read = async (api: APIRequestContext, id: number): Promise<Task> =>
  (await (await api.get(`/api/v1/tasks/${id}`)).json()) as Task;

async function change(api: APIRequestContext, id: number, data: object): Promise<Task> {
  const { version } = await read(api, id);
  const answer = await api.patch(`/api/v1/tasks/${id}`, { data, headers: { 'If-Match': `"${version}"` } });
  expect(answer.ok(), await answer.text()).toBe(true);
  return (await answer.json()) as Task;
}

async function openToday(page: Page, search = ''): Promise<void> {
  await page.goto(`/today${search}`);
  await settled(page);
}

const section = (page: Page, name: string) => page.getByRole('region', { name, exact: true });
const rowOf = (page: Page, task: Task) => page.locator(`[data-task="${task.id}"]`);
const more = async (page: Page, title: string, choice: string) => {
  await page.getByRole('button', { name: `More for ${title}` }).click();
  await page.getByRole('menuitem', { name: choice }).click();
};

test('tasks stand by when they are due, and the first sentence counts them', async ({
  page,
  company,
  watch,
}) => {
  await addTask(company.api, 'Ada Adler', 'Ask about the cut', '2026-03-09T10:00:00Z');
  await addTask(company.api, 'Bela Busch', 'Confirm the colour', '2026-03-10T15:30:00Z', 'Mara');
  await addTask(company.api, 'Emil Egger', 'Plan the summer', '2026-03-20T09:00:00Z');
  await openToday(page);

  await expect(section(page, 'Overdue')).toContainText('Ask about the cut');
  await expect(section(page, 'Overdue')).toContainText('Ada Adler');
  await expect(section(page, 'Overdue')).toContainText('€100.00');
  await expect(section(page, 'Today')).toContainText('16:30');
  await expect(section(page, 'Today')).toContainText('Mara');
  await expect(section(page, 'Tomorrow')).toContainText('A customer is at risk');
  await page.getByText('Later').click();
  await expect(page.getByText('Plan the summer')).toBeVisible();
  await expect(page.locator('.lead')).toHaveText(
    'One overdue, one due today. Five customers lapsed since yesterday, nobody came back.',
  );
  expect(watch.api.length).toBeLessThanOrEqual(16);

  await page.getByText('Nobody’s', { exact: true }).click();
  await expect(page).toHaveURL(/whose=nobodys/);
  await expect(page.getByText('Confirm the colour')).toHaveCount(0);
  await expect(page.getByText('Ask about the cut')).toBeVisible();
});

test('a task is done, taken back, and done again', async ({ page, company }) => {
  const task = await addTask(company.api, 'Ada Adler', 'Ask about the cut', '2026-03-10T12:00:00Z');
  await openToday(page);
  const done = page.getByRole('button', { name: 'Done: Ask about the cut, Ada Adler' });
  await done.click();
  await expect(rowOf(page, task)).toHaveCount(0);
  await page.getByRole('button', { name: 'Undo' }).click();
  await expect(rowOf(page, task)).toBeVisible();
  expect((await read(company.api, task.id)).status).toBe('open');

  await done.click();
  await expect.poll(async () => (await read(company.api, task.id)).status, { timeout: 20_000 }).toBe('done');
  await page.getByText('Done today').click();
  await expect(page.locator('.tasks.done')).toContainText('Ask about the cut');
});

test('a task that is done is done, even if the page goes away at once', async ({ page, company }) => {
  const task = await addTask(company.api, 'Ada Adler', 'Ask about the cut', '2026-03-10T12:00:00Z');
  await openToday(page);
  await page.getByRole('button', { name: 'Done: Ask about the cut, Ada Adler' }).click();
  await expect(rowOf(page, task)).toHaveCount(0);
  await page.goto('/docs');
  await expect.poll(async () => (await read(company.api, task.id)).status).toBe('done');
});

test('a task is dismissed with a reason, given away, and snoozed', async ({ page, company }) => {
  const first = await addTask(company.api, 'Ada Adler', 'First', '2026-03-10T12:00:00Z');
  const second = await addTask(company.api, 'Bela Busch', 'Second', '2026-03-10T12:00:00Z');
  await openToday(page);
  await more(page, 'First', 'Dismiss …');
  const dialog = page.getByRole('dialog');
  await expect(dialog.getByRole('button', { name: 'Dismiss' })).toBeDisabled();
  await dialog.getByRole('textbox', { name: 'Reason' }).fill('has moved away');
  await dialog.getByRole('button', { name: 'Dismiss' }).click();
  await expect(rowOf(page, first)).toHaveCount(0);
  expect(await read(company.api, first.id)).toMatchObject({ status: 'dismissed', outcome: 'has moved away' });

  await page.getByRole('button', { name: 'nobody, assignee of Second' }).click();
  await dialog.getByRole('combobox', { name: 'Who' }).fill('Mara');
  await dialog.getByRole('button', { name: 'Save' }).click();
  await expect(page.getByRole('button', { name: 'Mara, assignee of Second' })).toBeVisible();

  await more(page, 'Second', 'Snooze until tomorrow');
  await expect(section(page, 'Tomorrow')).toContainText('Second');
  expect((await read(company.api, second.id)).due_at).toBe('2026-03-11T12:00:00Z');
  await more(page, 'Second', 'Snooze until a day …');
  await dialog.getByLabel('Until').fill('2026-03-30');
  await dialog.getByRole('button', { name: 'Snooze' }).click();
  await expect(section(page, 'Tomorrow').locator(`[data-task="${second.id}"]`)).toHaveCount(0);
  // Summer time has begun by then: the same time of the day is an hour earlier in UTC.
  expect((await read(company.api, second.id)).due_at).toBe('2026-03-30T11:00:00Z');
});

test('a task that somebody has changed meanwhile: it says what, keeps the words, and asks again', async ({
  page,
  company,
  watch,
}) => {
  watch.allowed.push(/412/);
  const task = await addTask(company.api, 'Ada Adler', 'First', '2026-03-10T12:00:00Z');
  await openToday(page);
  await more(page, 'First', 'Dismiss …');
  const dialog = page.getByRole('dialog');
  await dialog.getByRole('textbox', { name: 'Reason' }).fill('has moved away');
  await change(company.api, task.id, { assignee: 'Mara' });
  await dialog.getByRole('button', { name: 'Dismiss' }).click();
  await expect(dialog.getByRole('alert')).toContainText('Mara has it now');
  await expect(dialog.getByRole('textbox', { name: 'Reason' })).toHaveValue('has moved away');
  await dialog.getByRole('button', { name: 'Save anyway' }).click();
  await expect(dialog).toHaveCount(0);
  expect(await read(company.api, task.id)).toMatchObject({ status: 'dismissed', assignee: 'Mara' });
});

test('done on a stale version changes nothing and tells who was first', async ({ page, company, watch }) => {
  watch.allowed.push(/412/);
  const task = await addTask(company.api, 'Ada Adler', 'First', '2026-03-10T12:00:00Z');
  await openToday(page);
  await expect(rowOf(page, task)).toBeVisible();
  await page.getByRole('button', { name: 'Done: First, Ada Adler' }).click();
  await change(company.api, task.id, { status: 'dismissed', outcome: 'not needed' });
  await expect(page.getByText(/First had been changed meanwhile: .+ has dismissed it/)).toBeVisible();
  expect(await read(company.api, task.id)).toMatchObject({ status: 'dismissed', outcome: 'not needed' });
});

test('a new task appears by itself', async ({ page, company }) => {
  await openToday(page);
  await expect(page.locator('.live.live')).toBeVisible();
  const task = await addTask(company.api, 'Ada Adler', 'Just in', '2026-03-10T12:00:00Z');
  await expect(rowOf(page, task)).toBeVisible({ timeout: 20_000 });
  await expect(section(page, 'Today')).toContainText('Just in');
});

test('the number of those who lapsed leads to exactly them', async ({ page, company }) => {
  expect(company.id).toBeGreaterThan(0);
  await openToday(page);
  await page.getByRole('link', { name: 'Five customers lapsed since yesterday' }).click();
  await settled(page);
  await expect(page.locator('.total-shown')).toHaveText('All 5 shown');
  await expect(page.locator('tbody tr')).toHaveCount(5);
  await expect(page.locator('.total-differs')).toHaveCount(0);
});

test('running campaigns are listed with their customers, and one is stopped', async ({ page, company }) => {
  await openToday(page);
  await page.getByRole('link', { name: '5 running' }).click();
  await expect(page).toHaveURL(/campaigns=running/);
  const list = page.locator('.campaign-list');
  await expect(list.getByRole('listitem')).toHaveCount(5);
  await list.getByRole('button', { name: 'Stop the campaign for Ada Adler' }).click();
  await page.getByRole('tooltip').getByRole('button', { name: 'Stop' }).click();
  await expect(list.getByRole('listitem')).toHaveCount(4);
  const running = await itemsOf<{ customer_name: string }>(company.api, '/api/v1/campaigns?status=running');
  expect(running.map((campaign) => campaign.customer_name)).not.toContain('Ada Adler');
});

test('the front desk opens on today, and does not see the overview', async ({ page, company }) => {
  await company.signInAs('agent');
  await page.goto('/');
  await expect(page).toHaveURL(/\/today$/);
  await settled(page);
  await expect(page.locator('.rail').getByRole('link', { name: 'Today' })).toBeVisible();
  await expect(page.locator('.rail').getByRole('link', { name: 'Overview' })).toHaveCount(0);
  await expect(page.locator('.lead')).toContainText('Five customers lapsed');
  await expect(page.locator('.lead a')).toHaveCount(0);
  await page.goto('/at-risk');
  await settled(page);
  await expect(page.getByRole('button', { name: 'Refresh analysis' })).toHaveCount(0);
  await expect(page.getByRole('button', { name: 'Email Ada Adler' })).toBeVisible();
});

test('axe finds nothing, wide and on a phone, light and dark, and nothing is too wide', async ({
  page,
  company,
}) => {
  test.setTimeout(120_000);
  expect(company.id).toBeGreaterThan(0);
  await page.goto('/today?campaigns=running');
  await settled(page);
  await page.getByText('Done today').click();
  for (const { name, width, colorScheme } of VIEWS) {
    await page.setViewportSize({ width, height: 900 });
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    expect(await axeFindings(page), name).toEqual([]);
  }
  await page.setViewportSize({ width: 320, height: 700 });
  expect(await isTooWide(page)).toBe(false);
});
