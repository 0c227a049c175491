import { expect, test } from './company';
import { addTask, change, more, openToday, rowOf, section, NOW, read } from './tasks';

test.use({ clock: NOW });

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
  await expect.poll(async () => (await read(company.api, task.id)).status, { timeout: 60_000 }).toBe('done');
  await page.getByText('Done today').click();
  await expect(page.locator('.tasks.done')).toContainText('Ask about the cut');
});

test('a task that is done is done, even if the page goes away at once', async ({ page, company }) => {
  const task = await addTask(company.api, 'Ada Adler', 'Ask about the cut', '2026-03-10T12:00:00Z');
  await openToday(page);
  await page.getByRole('button', { name: 'Done: Ask about the cut, Ada Adler' }).click();
  await expect(rowOf(page, task)).toHaveCount(0);
  await page.goto('/docs');
  await expect.poll(async () => (await read(company.api, task.id)).status, { timeout: 60_000 }).toBe('done');
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
  const until = dialog.getByRole('textbox', { name: 'Until' });
  await until.fill('30 Mar 2026');
  await until.press('Enter');
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
