import { expect, settled, signIn, test, watchPage } from './fixtures';

test('on a phone nothing scrolls sideways, and the page is reached by tabs', async ({ salon }) => {
  for (const width of [390, 320]) {
    await salon.setViewportSize({ width, height: 844 });
    for (const path of ['/?period=year', '/drill/total']) {
      await salon.goto(path);
      await settled(salon);
      const overflow = await salon.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      expect(overflow, `${path} at ${width}`).toBeLessThanOrEqual(0);
    }
    await expect(salon.locator('.tabs').getByRole('link', { name: 'Overview' })).toBeVisible();
    await expect(salon.locator('.rail')).toBeHidden();
  }
});

test('the theme is kept', async ({ salon }) => {
  await salon.goto('/');
  await settled(salon);
  await salon.getByRole('button', { name: 'Dark theme' }).click();
  await expect(salon.locator('html')).toHaveAttribute('data-theme', 'dark');
  await salon.reload();
  await expect(salon.locator('html')).toHaveAttribute('data-theme', 'dark');
});

test('two tabs share one stream, and another takes over when the first closes', async ({
  salon,
  service,
  watch,
}) => {
  const streams: string[] = [];
  salon.context().on('request', (request) => {
    if (request.url().includes('/api/v1/stream')) streams.push(request.url());
  });
  await salon.goto('/');
  await expect(salon.locator('.live.live')).toBeVisible();
  const second = await salon.context().newPage();
  watchPage(second, service.url, watch);
  await second.goto('/');
  await expect(second.locator('.live.live')).toBeVisible();
  expect(streams).toHaveLength(1);

  await salon.close();
  await expect.poll(() => streams.length).toBe(2);
  await expect(second.locator('.live.live')).toBeVisible();
});

test('an event changes the page without a reload', async ({ salon, api }) => {
  await salon.goto('/');
  await settled(salon);
  await expect(salon.locator('.live.live')).toBeVisible();
  const total = salon.locator('.statistic-value').first();
  const before = Number(await total.textContent());
  const id = 9_000_000 + Math.floor(Math.random() * 900_000);
  const answer = await api.post('/api/v1/events', {
    data: {
      id: `e2e-${id}`,
      source: 'e2e',
      type: 'appointment_completed',
      customer_id: id,
      occurred_at: new Date(Date.now() - 60_000).toISOString(),
      data: { total_amount: 40 },
    },
  });
  expect(answer.ok()).toBe(true);

  await expect(total).toHaveText(String(before + 1), { timeout: 60_000 });
});

test('without a connection a banner says from when the numbers are', async ({ salon, watch }) => {
  watch.allowed.push(/ERR_INTERNET_DISCONNECTED/);
  await salon.goto('/');
  await settled(salon);
  await salon.context().setOffline(true);
  await expect(salon.locator('.banner')).toContainText('No connection');
  await expect(salon.locator('.statistic-value').first()).toBeVisible();
  await salon.context().setOffline(false);
  await expect(salon.locator('.banner')).toHaveCount(0);
});

test('who lacks a right is told which, and who has it', async ({ page, watch, service, api }) => {
  expect(watch.problems).toEqual([]);
  const answer = await api.post('/api/v1/admin/keys', { data: { name: 'front desk', role: 'agent' } });
  const { secret } = (await answer.json()) as { secret: string };
  await signIn(page.context(), service, secret);
  await page.goto('/?period=year');

  await expect(page.getByRole('alert')).toContainText('analytics:read');
  await expect(page.getByRole('alert')).toContainText('Manager and Admin');
  await expect(page.locator('.rail').getByRole('link', { name: 'Overview' })).toHaveCount(0);
  await expect(page.locator('.rail').getByRole('link', { name: 'Customers' })).toBeVisible();
});

test('an empty company on a test clock: zeros, the first step, and its time on amber', async ({
  page,
  watch,
  service,
  playwright,
}) => {
  expect(watch.problems).toEqual([]);
  const operator = await playwright.request.newContext({
    baseURL: service.url,
    extraHTTPHeaders: { Authorization: `Bearer ${service.operator}` },
  });
  const company = { name: 'Empty Studio', timezone: 'Europe/Vienna', test_clock: '2026-03-01T12:00:00Z' };
  const created = await operator.post('/api/v1/admin/companies', { data: company });
  const { id } = (await created.json()) as { id: number };
  const key = await operator.post(`/api/v1/admin/companies/${id}/keys`, {
    data: { name: 'e2e', scopes: ['*'] },
  });
  const { secret } = (await key.json()) as { secret: string };
  await signIn(page.context(), service, secret);
  await page.goto('/');
  await settled(page);

  await expect(page.getByText('There are no customers yet')).toBeVisible();
  await expect(page.locator('.statistic-value').first()).toHaveText('0');
  await expect(page.locator('.rail .local-time.test')).toContainText('Sun 1 Mar, 13:00 Vienna');
  await operator.dispose();
});
