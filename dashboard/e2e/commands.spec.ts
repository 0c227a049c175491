/** What the palette can do: on the customer that is open, and on every page. */
import type { Page } from '@playwright/test';

import { expect, settled, test } from './fixtures';

const finder = (page: Page) => page.getByRole('combobox', { name: 'Find a customer or a page' });

test('commands act on the customer that is open, and on every page', async ({ salon }) => {
  await salon.goto('/customers/297');
  await settled(salon);
  await salon.keyboard.press('Control+k');
  const here = salon.getByRole('group', { name: 'On this page' });
  await expect(here.getByRole('option', { name: /^Move/ })).toBeVisible();
  await finder(salon).fill('move');
  await salon.keyboard.press('Enter');
  await expect(salon.getByRole('dialog', { name: /^Move / })).toBeVisible();
  await salon.keyboard.press('Escape');
  await expect(salon.getByRole('dialog')).toHaveCount(0);

  await salon.keyboard.press('Control+k');
  await finder(salon).fill('dark');
  await salon.keyboard.press('Enter');
  await expect(salon.locator('html')).toHaveAttribute('data-theme', 'dark');
  await salon.keyboard.press('Control+k');
  await finder(salon).fill('deutsch');
  await salon.keyboard.press('Enter');
  await expect(salon.locator('html')).toHaveAttribute('lang', 'de');
  await salon.goto('/');
  await settled(salon);
  await salon.keyboard.press('Control+k');
  await expect(salon.getByRole('group', { name: 'Auf dieser Seite' })).toHaveCount(0);
});

test('a command that cannot reach the customer is not offered; negative control: it follows the answer', async ({
  salon,
}) => {
  const email = salon.getByRole('group', { name: 'On this page' }).getByRole('option', { name: /^Email/ });
  const open = async () => {
    await salon.goto('/customers/297');
    await settled(salon);
    await salon.keyboard.press('Control+k');
    await expect(salon.getByRole('option', { name: /^Call/ })).toBeVisible();
  };
  await open();
  await expect(email).toHaveCount(0);
  await salon.route('**/api/v1/customers/297', async (route) => {
    const answer = await route.fetch();
    const customer = (await answer.json()) as { reach: object };
    await route.fulfill({
      response: answer,
      json: { ...customer, reach: { ...customer.reach, email: 'ok' } },
    });
  });
  await open();
  await expect(email).toBeVisible();
});
