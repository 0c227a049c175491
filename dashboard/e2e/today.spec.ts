import { axeFindings, isTooWide, VIEWS } from './axe';
import { expect, itemsOf, test } from './company';
import { settled } from './fixtures';
import { addTask, openToday, rowOf, section, NOW } from './tasks';

test.use({ clock: NOW });

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

test('mine are those of the person who is signed in, also for a reload of the address', async ({
  page,
  company,
}) => {
  const session = await page.request.get('/api/v1/session');
  const { assignee } = (await session.json()) as { assignee: string };
  await addTask(company.api, 'Ada Adler', 'My own task', '2026-03-10T12:00:00Z', assignee);
  await addTask(company.api, 'Bela Busch', 'Of somebody else', '2026-03-10T12:00:00Z', 'Mara');
  await openToday(page);
  await page.getByText('Mine', { exact: true }).click();
  await expect(page).toHaveURL(/whose=mine/);
  await expect(page.getByText('Of somebody else')).toHaveCount(0);
  await expect(page.getByText('My own task')).toBeVisible();
  await page.reload();
  await expect(page.getByText('My own task')).toBeVisible();
  await expect(page.getByText('Of somebody else')).toHaveCount(0);
});

test('a new task appears by itself', async ({ page, company }) => {
  await openToday(page);
  await expect(page.locator('.live.live')).toBeVisible();
  const task = await addTask(company.api, 'Ada Adler', 'Just in', '2026-03-10T12:00:00Z');
  await expect(rowOf(page, task)).toBeVisible({ timeout: 60_000 });
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

test('a message that could not be delivered is named, with its reason and another try', async ({ salon }) => {
  await salon.goto('/today');
  await settled(salon);
  const undelivered = salon.locator('.undelivered');
  await expect(undelivered.getByRole('link', { name: 'Jonas Şahin' })).toHaveAttribute(
    'href',
    '/customers/10',
  );
  await expect(undelivered).toContainText('Personal email: 550 5.1.1 The mailbox does not exist.');
  await expect(
    undelivered.getByRole('button', { name: 'Try again: Personal email for Jonas Şahin' }),
  ).toBeEnabled();
});
