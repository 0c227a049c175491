import type { Page } from '@playwright/test';

import {
  createCustomer,
  dayOf,
  endOf,
  journeyOf,
  MET,
  move,
  movesOf,
  openCustomer as open,
} from './customers';
import { expect, test } from './fixtures';

/** Opens the dialog by its key, chooses VIP and writes why. */
async function fillMove(page: Page, notes: string): Promise<void> {
  await page.keyboard.press('m');
  const dialog = page.getByRole('dialog');
  await expect(dialog.getByRole('radio').first()).toBeFocused();
  await dialog.getByRole('radio', { name: 'VIP Customer' }).check();
  await dialog.getByLabel('Why (kept with the move)').fill(notes);
}

async function choose(page: Page, item: string): Promise<void> {
  await page.getByRole('button', { name: 'More', exact: true }).click();
  await page.getByRole('menuitem', { name: item }).click();
}

test('a move with notes and a hold', async ({ salon, api }) => {
  const id = await createCustomer(api, { name: 'Mona Moved' }, [MET]);
  await open(salon, id);
  await fillMove(salon, 'Promised to come monthly');
  await salon.getByRole('checkbox', { name: /Hold here/ }).check();
  await salon.getByRole('button', { name: 'Move to VIP Customer' }).click();

  await expect(salon.locator('.customer-head .chip')).toHaveText('VIP Customer');
  await expect(salon.getByText(/Held here until/).first()).toBeVisible();
  await expect(salon.locator('.line.move').first()).toContainText('Promised to come monthly');
  const journey = await journeyOf(api, id);
  expect(journey.current_stage).toBe('vip');
  expect(Date.parse(journey.pin_until ?? '')).toBeGreaterThan(Date.now() + 29 * 86_400_000);

  await choose(salon, 'End the hold');
  await expect(salon.getByText(/Held here until/)).toHaveCount(0);
  expect((await journeyOf(api, id)).pin_until).toBeNull();
});

test('a hold from the menu: until the end of the chosen day', async ({ salon, api }) => {
  const id = await createCustomer(api, { name: 'Paula Pinned' }, [MET]);
  await open(salon, id);
  await choose(salon, 'Hold in this stage');
  const dialog = salon.getByRole('dialog');
  await dialog.getByRole('button', { name: '1 week' }).click();
  await dialog.getByRole('button', { name: 'Hold', exact: true }).click();
  await expect(dialog).toHaveCount(0);
  const until = endOf(dayOf(Date.now() + 7 * 86_400_000));
  expect(Date.parse((await journeyOf(api, id)).pin_until ?? '')).toBe(Date.parse(until));
  await expect(salon.getByText(/Held here until/).first()).toBeVisible();
});

test('a stale version: what changed is told, what was typed stays, and it is offered again', async ({
  salon,
  api,
  watch,
}) => {
  watch.allowed.push(/412/);
  const id = await createCustomer(api, { name: 'Stella Stale' }, [MET]);
  await open(salon, id);
  await fillMove(salon, 'My own words');
  await move(api, id, 'lead', 'Called from the other desk');
  const dialog = salon.getByRole('dialog');
  await dialog.getByRole('button', { name: 'Move to VIP Customer' }).click();

  const told = dialog.getByRole('alert');
  await expect(told).toContainText('The customer has changed in the meantime');
  await expect(told).toContainText(/Moved from Customer to Lead/);
  await expect(told).toContainText('Called from the other desk');
  await expect(told).toContainText(/Moved by hand by key/);
  await expect(dialog.getByLabel('Why (kept with the move)')).toHaveValue('My own words');
  expect((await journeyOf(api, id)).current_stage).toBe('lead');

  await dialog.getByRole('button', { name: 'Move to VIP Customer anyway' }).click();
  await expect(dialog).toHaveCount(0);
  const [last] = await movesOf(api, id);
  expect(last).toMatchObject({ to_stage: 'vip', notes: 'My own words' });
});

test('an answer that is lost: sent again, and moved once only', async ({ salon, api, watch }) => {
  watch.allowed.push(/ERR_FAILED/);
  const id = await createCustomer(api, { name: 'Lena Lost' }, [MET]);
  await open(salon, id);
  const before = (await movesOf(api, id)).length;
  await fillMove(salon, 'Once');
  await salon.route('**/transitions', async (route) => {
    if (route.request().method() !== 'POST') return route.continue();
    await route.fetch();
    return route.abort('failed');
  });
  const dialog = salon.getByRole('dialog');
  await dialog.getByRole('button', { name: /Move to VIP Customer/ }).click();
  await expect(dialog.getByRole('alert')).toContainText('Nothing is done twice');
  await expect(dialog.getByLabel('Why (kept with the move)')).toHaveValue('Once');

  await salon.unroute('**/transitions');
  await dialog.getByRole('button', { name: /Move to VIP Customer/ }).click();
  await expect(dialog).toHaveCount(0);
  expect(await movesOf(api, id)).toHaveLength(before + 1);
});

test('erasing asks for the number, and the page says that it is done', async ({ salon, api, watch }) => {
  watch.allowed.push(/404/);
  const id = await createCustomer(api, { name: 'Erna Erased' }, [MET]);
  await open(salon, id);
  await choose(salon, 'Erase the customer');
  const dialog = salon.getByRole('dialog');
  const erase = dialog.getByRole('button', { name: 'Erase for good' });
  await expect(erase).toBeDisabled();
  await dialog.getByLabel(`Type the number ${id} to confirm`).fill(String(id + 1));
  await expect(erase).toBeDisabled();
  await dialog.getByLabel(`Type the number ${id} to confirm`).fill(String(id));
  await erase.click();

  await expect(salon.getByText(`Customer ${id} is erased`)).toBeVisible();
  await expect(salon.getByText('Erna')).toHaveCount(0);
  expect((await api.get(`/api/v1/customers/${id}`)).status()).toBe(404);
});

test('a customer who is erased elsewhere while the page is open', async ({ salon, api, watch }) => {
  watch.allowed.push(/404/);
  const id = await createCustomer(api, { name: 'Gina Gone' }, [MET]);
  await open(salon, id);
  await api.post(`/api/v1/customers/${id}/anonymize`);
  await choose(salon, 'Evaluate now');

  await expect(salon.getByText(`Customer ${id} is not here any more`)).toBeVisible();
});

test('the export is a file', async ({ salon, api }) => {
  const id = await createCustomer(api, { name: 'Eva Export' }, [MET]);
  await open(salon, id);
  const [download] = await Promise.all([salon.waitForEvent('download'), choose(salon, 'Export all data')]);
  expect(download.suggestedFilename()).toBe(`customer-${id}.json`);
  const chunks: Buffer[] = [];
  for await (const chunk of await download.createReadStream()) chunks.push(chunk as Buffer);
  expect(JSON.parse(Buffer.concat(chunks).toString())).toMatchObject({ customer_id: id });
});

test('without consent a button says why; the consent is changed here', async ({ salon, api }) => {
  const id = await createCustomer(api, {
    name: 'Nora No',
    email: 'nora@post.example',
    consents: { email: 'withdrawn' },
  });
  await open(salon, id);
  const email = salon.getByRole('button', { name: 'Email Nora No' });
  await expect(email).toHaveAttribute('aria-disabled', 'true');
  await expect(email).toHaveAccessibleDescription('Has not agreed to emails');

  await salon.getByLabel('Consent to Email').selectOption('granted');
  await expect(email).not.toHaveAttribute('aria-disabled');
  const stored = (await (await api.get(`/api/v1/customers/${id}`)).json()) as Record<string, unknown>;
  expect(stored).toMatchObject({ name: 'Nora No', email: 'nora@post.example' });
});

test('notes and owner are edited; a change by somebody else is told', async ({ salon, api }) => {
  const id = await createCustomer(api, { name: 'Nina Notes' }, [MET]);
  await open(salon, id);
  await salon.getByRole('button', { name: 'Edit the owner' }).click();
  await salon.getByLabel('Owner of the customer').fill('ben');
  await salon.keyboard.press('Enter');
  await expect(salon.getByText('ben', { exact: true })).toBeVisible();
  expect((await journeyOf(api, id)).owner).toBe('ben');

  await salon.getByRole('button', { name: 'Edit the notes' }).click();
  await salon.getByLabel('Notes about the customer').fill('Likes tea');
  const { version } = await journeyOf(api, id);
  await api.patch(`/api/v1/customers/${id}/journey`, {
    headers: { 'If-Match': `"${version}"` },
    data: { notes: 'Allergic to nuts' },
  });
  await salon.getByRole('button', { name: 'Save' }).click();
  await expect(salon.getByRole('alert')).toContainText('Now it says: Allergic to nuts');
  await expect(salon.getByLabel('Notes about the customer')).toHaveValue('Likes tea');
  expect((await journeyOf(api, id)).notes).toBe('Allergic to nuts');
  await salon.getByRole('button', { name: 'Save' }).click();
  await expect.poll(async () => (await journeyOf(api, id)).notes).toBe('Likes tea');
});
