import { createCustomer, MET, move, openCustomer as open, send } from './customers';
import { expect, signIn, test } from './fixtures';

test('the page follows a move without a reload', async ({ salon, api }) => {
  const id = await createCustomer(api, { name: 'Livia Live' });
  await open(salon, id);
  await expect(salon.locator('.live.live')).toBeVisible();
  await expect(salon.locator('.customer-head .chip')).toHaveText('Prospect');
  await send(api, id, MET);

  await expect(salon.locator('.customer-head .chip')).toHaveText('Customer', { timeout: 60_000 });
  await expect(salon.locator('.line.move').first()).toContainText('Customer from Prospect');
});

test('a campaign is stopped and a task is done', async ({ salon, api }) => {
  const id = await createCustomer(api, { name: 'Carla Campaign', phone: '+4930123456' }, [MET]);
  await api.post(`/api/v1/customers/${id}/actions`, { data: { type: 'call', title: 'Call Carla' } });
  await move(api, id, 'at_risk');
  await open(salon, id);
  const work = salon.getByRole('region', { name: 'Open now' });
  await work.getByRole('button', { name: 'Stop the campaign' }).click();
  await salon.getByRole('tooltip').getByRole('button', { name: 'Stop the campaign' }).click();
  await expect(work.getByText('At Risk campaign')).toHaveCount(0);

  const task = work.getByRole('listitem').filter({ hasText: 'Call Carla' });
  await task.getByRole('button', { name: 'Done' }).click();
  await task.getByLabel('What came of it').fill('She comes on Monday');
  await task.getByRole('button', { name: 'Mark as done' }).click();
  await expect(task).toHaveCount(0);
});

test('without a connection nothing can be changed', async ({ salon, watch }) => {
  watch.allowed.push(/ERR_INTERNET_DISCONNECTED/);
  await open(salon, 297);
  await salon.context().setOffline(true);
  await expect(salon.getByRole('button', { name: 'Move', exact: true })).toBeDisabled();
  await salon.context().setOffline(false);
  await expect(salon.getByRole('button', { name: 'Move', exact: true })).toBeEnabled();
});

test('a link to a customer without the right says which role has it', async ({
  page,
  watch,
  service,
  api,
}) => {
  expect(watch.problems).toEqual([]);
  const answer = await api.post('/api/v1/admin/keys', {
    data: { name: 'reports', scopes: ['analytics:read'] },
  });
  const { secret } = (await answer.json()) as { secret: string };
  await signIn(page.context(), service, secret);
  await page.goto('/customers/297');

  await expect(page.getByRole('alert')).toContainText('customers:read');
  await expect(page.getByRole('alert')).toContainText('Agent, Manager and Admin');
});

test('messages are listed with what became of them', async ({ salon, api }) => {
  const id = await createCustomer(api, { name: 'Mia Mailed', email: 'mia@post.example' }, [MET]);
  const asked = await api.post(`/api/v1/customers/${id}/actions`, { data: { type: 'email', note: 'Hello' } });
  expect(asked.ok(), await asked.text()).toBe(true);
  await salon.goto(`/customers/${id}?tab=messages`);
  const lines = salon.getByRole('list', { name: 'Messages' }).getByRole('listitem');
  await expect(lines.filter({ hasText: 'Personal email' })).toHaveCount(1);
  await salon.getByText('Everything', { exact: true }).click();
  await expect(salon).toHaveURL(/tab=everything/);
  await expect(salon.getByRole('listitem').filter({ hasText: 'Personal email' })).toHaveCount(1);
  await expect(
    salon.getByRole('listitem').filter({ hasText: 'Appointment completed' }).first(),
  ).toBeVisible();
});

test('without a connection a call is not planned, and not carried out by surprise later', async ({
  salon,
  api,
  watch,
}) => {
  watch.allowed.push(/ERR_INTERNET_DISCONNECTED/);
  const id = await createCustomer(api, { name: 'Olga Offline', phone: '+4930123457' }, [MET]);
  await open(salon, id);
  await salon.getByRole('button', { name: 'Call Olga Offline' }).click();
  const dialog = salon.getByRole('dialog');
  await expect(dialog.getByRole('link', { name: 'Call +4930123457' })).toBeVisible();
  await expect(dialog.getByLabel('In how many days')).toBeFocused();
  await salon.context().setOffline(true);
  await dialog.getByRole('button', { name: 'Plan the call' }).click();
  await expect(dialog.getByRole('alert')).toContainText('The answer has not arrived');
  await salon.context().setOffline(false);
  await expect(salon.locator('.banner')).toHaveCount(0);
  const tasks = await api.get(`/api/v1/tasks?customer_id=${id}&channel=call`);
  expect(((await tasks.json()) as { items: object[] }).items).toEqual([]);
  await dialog.getByRole('button', { name: 'Send again' }).click();
  await expect(dialog).toHaveCount(0);
});
