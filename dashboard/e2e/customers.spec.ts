import { create, freeId, ids, list, ready, search } from './customerList';
import { expect, settled, SALON, signIn, test } from './fixtures';

test('the list is that of the API: names, total, and no request per row', async ({ salon, api, watch }) => {
  await salon.goto('/customers');
  await ready(salon);
  const expected = await list(api, 'sort=-last_appointment_at&limit=50');

  expect(await ids(salon)).toEqual(expected.items.map((row) => row.customer_id));
  await expect(salon.getByRole('status').filter({ hasText: 'customers' })).toHaveText(
    `${expected.total} customers`,
  );
  expect(watch.api.filter((url) => !url.includes('/stream')).length).toBeLessThanOrEqual(16);
});

test('mueller and muller find Müller, from the address and from the keyboard', async ({ salon, api }) => {
  const word = `Zq${freeId()}`;
  const id = await create(api, `Jörg Müller ${word}`);
  await salon.goto('/customers');
  await ready(salon);
  await salon.keyboard.press('/');
  await expect(search(salon)).toBeFocused();
  for (const name of ['mueller', 'muller', 'MÜLLER']) {
    await search(salon).fill(`${name} ${word}`);
    await expect(salon).toHaveURL(new RegExp(`q=${name === 'MÜLLER' ? 'M%C3%9CLLER' : name}`));
    await expect(salon.locator('tbody tr')).toHaveCount(1);
    expect(await ids(salon)).toEqual([id]);
  }
  await salon.goto(`/customers?q=${id}`);
  await expect(salon.getByRole('link', { name: /Müller/ })).toHaveAttribute('href', `/customers/${id}`);
});

test('filters are in the address: a fresh page shows the same, and its CSV has the same customers', async ({
  salon,
  service,
}) => {
  await salon.goto('/customers');
  await ready(salon);
  await salon.getByRole('link', { name: /^VIP/ }).click();
  await salon.getByRole('button', { name: 'Filters' }).click();
  await salon.getByRole('checkbox', { name: 'Regular' }).check();
  await salon.getByLabel('Value from (EUR)').fill('100');
  await salon.keyboard.press('Enter');
  await expect(salon).toHaveURL(/stage=vip%2Cregular&value_min=100/);
  await ready(salon);
  const shown = await ids(salon);
  expect(shown.length).toBeGreaterThan(0);

  const fresh = await salon.context().newPage();
  await signIn(fresh.context(), service, SALON);
  await fresh.goto(salon.url());
  await ready(fresh);
  expect(await ids(fresh)).toEqual(shown);
  await fresh.close();

  const total = Number(/\d+/.exec((await salon.locator('.lead').textContent()) ?? '')?.[0]);
  const [file] = await Promise.all([
    salon.waitForEvent('download'),
    salon.getByRole('button', { name: 'CSV of all' }).click(),
  ]);
  const parts = (await (await file.createReadStream()).toArray()) as Buffer[];
  const lines = Buffer.concat(parts).toString().trimEnd().split('\r\n').slice(1);
  expect(lines).toHaveLength(total);
  expect(lines.slice(0, shown.length).map((line) => Number(line.split(',')[0]?.replaceAll('"', '')))).toEqual(
    shown,
  );
});

test('Escape takes the filters off, one of them by its own button', async ({ salon }) => {
  await salon.goto('/customers?stage=vip&risk_min=0&owner=nobody-of-this-name');
  await settled(salon);
  await expect(salon.getByText('No customer matches')).toBeVisible();
  await salon.getByRole('button', { name: /Owner: nobody/ }).click();
  await expect(salon).not.toHaveURL(/owner/);
  await ready(salon);
  await salon.locator('h1').click();
  await salon.keyboard.press('Escape');
  await expect(salon).toHaveURL(/\/customers$/);
});

test('headers sort on the service, and say how', async ({ salon, api }) => {
  await salon.goto('/customers');
  await ready(salon);
  const header = salon.getByRole('columnheader', { name: 'Value' });
  await expect(header).toHaveAttribute('aria-sort', 'none');
  await header.getByRole('button').click();
  await expect(header).toHaveAttribute('aria-sort', 'descending');
  await ready(salon);
  const expected = await list(api, 'sort=-lifetime_value&limit=50');
  expect(await ids(salon)).toEqual(expected.items.map((row) => row.customer_id));
  await header.getByRole('button').click();
  await expect(salon).toHaveURL(/sort=lifetime_value/);
  await expect(header).toHaveAttribute('aria-sort', 'ascending');
});

test('pages go forward and back, by buttons, by the browser, and by a shared link', async ({ salon }) => {
  await salon.goto('/customers?sort=name');
  await ready(salon);
  const first = await ids(salon);
  const pager = salon.getByRole('navigation', { name: 'Pages' });
  await pager.getByRole('button', { name: 'Next' }).click();
  await expect(pager).toContainText('51–100 of');
  await ready(salon);
  const second = await ids(salon);
  expect(second.filter((id) => first.includes(id))).toEqual([]);
  const link = salon.url();
  await pager.getByRole('button', { name: 'Next' }).click();
  await expect(pager).toContainText('101–150 of');
  await pager.getByRole('button', { name: 'Previous' }).click();
  await expect(pager).toContainText('51–100 of');
  await salon.goBack();
  await salon.goBack();
  await expect(pager).toContainText('51–100 of');
  await salon.goBack();
  await expect(pager).toContainText('1–50 of');

  await salon.goto(link);
  await ready(salon);
  expect(await ids(salon)).toEqual(second);
});

test('names with markup, from right to left, and none at all are shown as they are', async ({
  salon,
  api,
}) => {
  const word = `Xw${freeId()}`;
  const names = [`<img src=x onerror=alert(1)> ${word}`, `فاطمة الزهراء ${word}`, `Zoë 🦊 ${word}`];
  for (const name of names) await create(api, name);
  const nameless = await create(api, null);
  await salon.goto(`/customers?q=${word}`);
  await ready(salon);
  for (const name of names) await expect(salon.locator('tbody th bdi').getByText(name)).toBeVisible();
  await expect(salon.locator('tbody img')).toHaveCount(0);

  await salon.goto(`/customers?q=${nameless}`);
  await expect(salon.getByRole('link', { name: `Customer ${nameless}` })).toBeVisible();
});

test('a view is saved under a name, opened, renamed and deleted', async ({ salon }) => {
  await salon.goto('/customers?stage=vip&sort=-risk_score');
  await ready(salon);
  await salon.getByRole('button', { name: 'Views' }).click();
  const dialog = salon.getByRole('dialog', { name: 'Saved views' });
  await dialog.getByLabel('Save the present filters').fill('VIP in danger');
  await dialog.getByRole('button', { name: 'Save' }).click();
  await salon.goto('/customers');
  await salon.getByRole('button', { name: 'Views' }).click();
  await dialog.getByRole('button', { name: 'Rename VIP in danger' }).click();
  await dialog.getByLabel('Name of the view').fill('VIP at risk');
  await dialog.getByRole('button', { name: 'Save' }).click();
  await dialog.getByRole('link', { name: 'VIP at risk' }).click();
  await expect(dialog).toHaveCount(0);
  await expect(salon).toHaveURL(/stage=vip&sort=-risk_score/);
  await salon.getByRole('button', { name: 'Views' }).click();
  await dialog.getByRole('button', { name: 'Delete VIP at risk' }).click();
  await expect(dialog.getByText('No view is saved yet')).toBeVisible();
});

test('the keyboard moves between rows and opens one', async ({ salon }) => {
  await salon.goto('/customers');
  await ready(salon);
  const shown = await ids(salon);
  await salon.keyboard.press('j');
  await salon.keyboard.press('j');
  await salon.keyboard.press('k');
  await expect(salon.locator('tbody tr').first()).toBeFocused();
  await salon.keyboard.press('Enter');
  await expect(salon).toHaveURL(new RegExp(`/customers/${shown[0] ?? ''}$`));
});
