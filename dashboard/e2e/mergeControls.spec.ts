/** Who may merge, and what the checks of the merge find if the page or the service does not hold. */
import type { Page } from '@playwright/test';

import { axeFindings, isTooWide } from './axe';
import { expect, test as companyTest, type Company } from './company';
import { move, twins } from './customers';
import { settled, test } from './fixtures';

/** Opens the page of a possible duplicate as a person without the right to merge. */
async function openAsAgent(page: Page, company: Company): Promise<void> {
  const put = await company.api.put('/api/v1/customers/9', {
    data: { name: 'Ada Again', email: 'ada@mail.example' },
  });
  expect(put.ok()).toBe(true);
  await company.signInAs('agent');
  await page.goto('/customers/9');
  await settled(page);
  await expect(page.getByRole('note')).toContainText('Possible duplicate of Ada Adler');
}

companyTest('without the right to merge the hint names the duplicate only', async ({ page, company }) => {
  await openAsAgent(page, company);
  await expect(page.getByRole('button', { name: 'Compare and merge' })).toHaveCount(0);
});

companyTest(
  'negative control: a page that believes to have the right offers the merge',
  async ({ page, company, watch }) => {
    watch.allowed.push(/403/);
    await page.route('**/api/v1/session', async (route) => {
      const answer = await route.fetch();
      const session = (await answer.json()) as { scopes: string[] };
      await route.fulfill({ response: answer, json: { ...session, scopes: [...session.scopes, 'privacy'] } });
    });
    await openAsAgent(page, company);
    await expect(page.getByRole('button', { name: 'Compare and merge' })).toBeVisible();
  },
);

test('negative control: without the version a merge overwrites what has changed in the meantime', async ({
  salon,
  api,
}) => {
  const { first, second } = await twins(api);
  await salon.goto(`/customers/${first}`);
  await settled(salon);
  await salon.getByRole('button', { name: 'Compare and merge' }).click();
  const dialog = salon.getByRole('dialog');
  await dialog.getByRole('checkbox', { name: 'They are the same person' }).check();
  await move(api, first, 'vip');
  await salon.route('**/merge', async (route) => {
    const preview = await api.get(`/api/v1/customers/${first}/merge-preview?with=${second}`);
    const headers = { ...route.request().headers(), 'if-match': preview.headers().etag ?? '' };
    await route.continue({ headers });
  });
  await dialog.getByRole('button', { name: 'Merge into Tilda Twin' }).click();
  // The test of the stale version expects an alert in the dialog, which stays open.
  await expect(dialog).toHaveCount(0);
  await expect(salon.getByText('T. Twin was merged into Tilda Twin.')).toBeVisible();
});

test('negative control: in the dialog of a merge a name that is missing and a width that is too large are found', async ({
  salon,
  api,
}) => {
  const { first } = await twins(api);
  await salon.setViewportSize({ width: 320, height: 700 });
  await salon.goto(`/customers/${first}`);
  await settled(salon);
  await salon.getByRole('button', { name: 'Compare and merge' }).click();
  await expect(salon.getByRole('region', { name: 'What the merge does' })).toBeVisible();
  expect(await axeFindings(salon)).toEqual([]);
  expect(await isTooWide(salon)).toBe(false);
  await salon.locator('.merge-confirm').evaluate((label) => label.querySelector('span')?.remove());
  expect(await axeFindings(salon)).toEqual([expect.stringMatching(/^label: /)]);
  await salon.locator('.customer-head').evaluate((head) => {
    head.style.minWidth = '400px';
  });
  expect(await isTooWide(salon)).toBe(true);
});
