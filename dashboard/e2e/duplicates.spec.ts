/** Suspected duplicates: on the page of a customer and in a list, and how two of them become one. */
import { axeFindings, isTooWide, VIEWS } from './axe';
import { createCustomer, journeyOf, move, twins } from './customers';
import { expect, settled, test } from './fixtures';

test('two customers are compared and merged; the page of the merged one leads to the survivor', async ({
  salon,
  api,
}) => {
  const { first, second } = await twins(api);
  await salon.goto(`/customers/${second}`);
  await settled(salon);
  const hint = salon.getByRole('note');
  await expect(hint).toContainText(`Possible duplicate of Tilda Twin (No. ${first}, same email address)`);
  await hint.getByRole('button', { name: 'Compare and merge' }).press('Enter');
  const dialog = salon.getByRole('dialog');
  await dialog.getByRole('radio', { name: /Tilda Twin/ }).check();
  const effect = dialog.getByRole('region', { name: 'What the merge does' });
  await expect(effect).toContainText('3'); // appointments
  await expect(effect).toContainText('2 events and 0 open tasks');
  await expect(effect).toContainText('phone');
  await expect(effect).toContainText('becomes withdrawn');
  await expect(effect).toContainText(`No. ${second} leads to No. ${first}`);
  const save = dialog.getByRole('button', { name: 'Merge into Tilda Twin' });
  await expect(save).toBeDisabled();
  expect((await journeyOf(api, first)).current_stage).not.toBe('merged');
  await dialog.getByRole('checkbox', { name: 'They are the same person' }).press('Space');
  await save.press('Enter');

  await expect(salon).toHaveURL(new RegExp(`/customers/${first}$`));
  await expect(salon.getByRole('heading', { level: 1 })).toHaveText('Tilda Twin');
  await expect(salon.getByText('T. Twin was merged into Tilda Twin.')).toBeVisible();
  await expect(salon.getByRole('note')).toHaveCount(0);
  await salon.goto(`/customers/${second}`);
  await expect(salon).toHaveURL(new RegExp(`/customers/${first}$`));
  await expect(salon.getByText(`No. ${second} was merged into this customer.`)).toBeVisible();
});

test('what has changed in the meantime is shown again and asks again; what was merged before is named', async ({
  salon,
  api,
  watch,
}) => {
  watch.allowed.push(/409|412/);
  const { first, second } = await twins(api);
  await salon.goto(`/customers/${first}`);
  await settled(salon);
  await salon.getByRole('button', { name: 'Compare and merge' }).click();
  const dialog = salon.getByRole('dialog');
  const confirm = dialog.getByRole('checkbox', { name: 'They are the same person' });
  await confirm.check();
  await move(api, first, 'vip');
  const save = dialog.getByRole('button', { name: 'Merge into Tilda Twin' });
  await save.click();
  await expect(dialog.getByRole('alert')).toContainText('changed in the meantime');
  await expect(confirm).not.toBeChecked();
  await expect(save).toBeDisabled();

  const other = await createCustomer(api, { name: 'Otto Other' });
  const preview = await api.get(`/api/v1/customers/${other}/merge-preview?with=${second}`);
  const merged = await api.post(`/api/v1/customers/${other}/merge`, {
    headers: { 'If-Match': preview.headers().etag ?? '' },
    data: { merge: second },
  });
  expect(merged.ok(), await merged.text()).toBe(true);
  await confirm.check();
  await save.click();
  await expect(dialog.getByRole('alert')).toContainText(`No. ${second} was merged into another customer`);
  await dialog.getByRole('link', { name: `Open No. ${other}` }).click();
  await expect(salon.getByRole('heading', { level: 1 })).toHaveText('Otto Other');
  await expect(dialog).toHaveCount(0);
});

test('an answer that is lost: the second attempt finds the merge done', async ({ salon, api, watch }) => {
  watch.allowed.push(/ERR_FAILED|409/);
  const { first } = await twins(api);
  await salon.goto(`/customers/${first}`);
  await settled(salon);
  await salon.getByRole('button', { name: 'Compare and merge' }).click();
  const dialog = salon.getByRole('dialog');
  await dialog.getByRole('checkbox').check();
  await salon.route('**/merge', async (route) => {
    await route.fetch();
    await route.abort('failed');
  });
  const save = dialog.getByRole('button', { name: 'Merge into Tilda Twin' });
  await save.click();
  await expect(dialog.getByRole('alert')).toContainText('nothing is merged twice');
  await salon.unroute('**/merge');
  await save.click();
  await expect(dialog).toHaveCount(0);
  await expect(salon.getByText('T. Twin was merged into Tilda Twin.')).toBeVisible();
});

test('the list names who share a value, and is reached from the customers and the palette', async ({
  salon,
  api,
}) => {
  test.setTimeout(120_000);
  const { email, first } = await twins(api);
  await salon.goto('/customers');
  await settled(salon);
  await salon.getByRole('link', { name: 'Possible duplicates' }).click();
  await expect(salon).toHaveURL(/\/customers\/duplicates$/);
  const group = salon.getByRole('listitem', { name: `Email ${email}` });
  await expect(group.getByRole('link', { name: 'Tilda Twin' })).toHaveAttribute(
    'href',
    `/customers/${first}`,
  );
  await group.getByRole('button', { name: 'Compare and merge' }).click();
  await expect(salon.getByRole('region', { name: 'What the merge does' })).toBeVisible();
  for (const { name, width, colorScheme } of VIEWS) {
    await salon.setViewportSize({ width, height: 900 });
    await salon.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    expect(await axeFindings(salon), name).toEqual([]);
  }
  await salon.setViewportSize({ width: 320, height: 700 });
  expect(await isTooWide(salon)).toBe(false);
});
