import { ids, ready, search } from './customerList';
import { expect, settled, SALON, signIn, test } from './fixtures';

test('a session that ends keeps the words of the search, and finds with them after the sign-in', async ({
  salon,
  service,
  watch,
}) => {
  watch.allowed.push(/401/);
  await salon.goto('/customers');
  await ready(salon);
  await salon.context().clearCookies();
  await search(salon).fill('mueller');
  const dialog = salon.getByRole('dialog');
  await expect(dialog).toContainText('Your session has ended');
  await expect(search(salon)).toHaveValue('mueller');
  await signIn(salon.context(), service, SALON);
  await dialog.getByRole('button', { name: 'I have signed in' }).click();
  await expect(dialog).toHaveCount(0);
  await expect(salon.getByText(/customers? match/)).toBeVisible();
  await expect(search(salon)).toHaveValue('mueller');
});

test('a failing list says what failed and keeps the rest; a busy service is asked again', async ({
  salon,
  watch,
}) => {
  watch.allowed.push(/50[03]|429/);
  let status = 500;
  await salon.route(/\/api\/v1\/customers\?.*q=/, async (route) => {
    const busy = { 'retry-after': '1', 'x-request-id': 'abc123' };
    if (status === 200) return route.continue();
    const answer = { status, headers: busy, json: { title: 'Failed', detail: 'The list failed.' } };
    status = status === 429 ? 200 : status;
    return route.fulfill(answer);
  });
  await salon.goto('/customers');
  await ready(salon);
  await search(salon).fill('schmidt');
  const alert = salon.getByRole('alert');
  await expect(alert).toContainText('The list failed.');
  await expect(alert).toContainText('abc123');
  await expect(search(salon)).toHaveValue('schmidt');
  status = 429;
  await alert.getByRole('button', { name: 'Try again' }).click();
  await expect(alert).toHaveCount(0);
  await expect(salon.getByText(/customers? match/)).toBeVisible();
});

test('without a connection the last list stays', async ({ salon, watch }) => {
  watch.allowed.push(/ERR_INTERNET_DISCONNECTED/);
  await salon.goto('/customers');
  await ready(salon);
  const shown = await ids(salon);
  await salon.context().setOffline(true);
  await expect(salon.locator('.banner')).toContainText('No connection');
  await search(salon).fill('nobody');
  expect(await ids(salon)).toEqual(shown);
  await salon.context().setOffline(false);
  await expect(salon.getByText('No customer matches')).toBeVisible();
});

test('an empty company says what to do first', async ({ page, watch, service, playwright }) => {
  expect(watch.problems).toEqual([]);
  const operator = await playwright.request.newContext({
    baseURL: service.url,
    extraHTTPHeaders: { Authorization: `Bearer ${service.operator}` },
  });
  const company = { name: 'New Studio', timezone: 'Europe/Vienna' };
  const created = await operator.post('/api/v1/admin/companies', { data: company });
  const { id } = (await created.json()) as { id: number };
  const key = await operator.post(`/api/v1/admin/companies/${id}/keys`, {
    data: { name: 'e2e', scopes: ['*'] },
  });
  const { secret } = (await key.json()) as { secret: string };
  await operator.dispose();
  await signIn(page.context(), service, secret);
  await page.goto('/customers');
  await settled(page);
  await expect(page.getByText('There are no customers yet')).toBeVisible();
  await expect(page.getByRole('link', { name: 'How to send events' })).toBeVisible();
});

test('on a phone rows are cards, filters a sheet, and nothing scrolls sideways', async ({ salon }) => {
  for (const width of [390, 320]) {
    await salon.setViewportSize({ width, height: 844 });
    await salon.goto('/customers');
    await ready(salon);
    const overflow = await salon.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    expect(overflow, `at ${width}`).toBeLessThanOrEqual(0);
  }
  await salon.getByRole('button', { name: 'Filters' }).click();
  const sheet = salon.getByRole('dialog', { name: 'Filters' });
  await sheet.getByLabel('Days away, at least').fill('30');
  await sheet.getByRole('button', { name: 'Show customers' }).click();
  await expect(salon).toHaveURL(/inactive_days_min=30/);
  await expect(sheet).toHaveCount(0);
});
