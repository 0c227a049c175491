/** Each filter of the list of customers asks the service for what its address says. */
import type { Page } from '@playwright/test';

import { ids, list, ready } from './customerList';
import { expect, test } from './fixtures';

const FILTERS: readonly {
  name: string;
  choose: (page: Page) => Promise<unknown>;
  query: string;
  path: RegExp;
}[] = [
  {
    name: 'risk',
    choose: async (page) => {
      await page.getByLabel('Risk from (%)').fill('60');
      await page.getByLabel('Risk to (%)').fill('80');
    },
    query: 'risk_min=0.6&risk_max=0.8',
    path: /risk_min=0\.6&risk_max=0\.8/,
  },
  {
    name: 'days away',
    choose: (page) => page.getByLabel('Days away, at least').fill('90'),
    query: 'inactive_days_min=90',
    path: /inactive_days_min=90/,
  },
  {
    name: 'value',
    choose: (page) => page.getByLabel('Value to (EUR)').fill('100'),
    query: 'value_max=100',
    path: /value_max=100/,
  },
  {
    name: 'owner',
    choose: (page) => page.getByLabel('Owner').selectOption('Lotte Brandt'),
    query: 'owner=Lotte%20Brandt',
    path: /owner=Lotte/,
  },
  {
    name: 'pin',
    choose: (page) => page.getByLabel('Pin').selectOption('true'),
    query: 'pinned=true',
    path: /pinned=true/,
  },
  {
    name: 'consent',
    choose: async (page) => {
      await page.getByLabel('Consent', { exact: true }).selectOption('email');
      await page.getByLabel('Consent status').selectOption('withdrawn');
    },
    query: 'consent_channel=email&consent_status=withdrawn',
    path: /consent_status=withdrawn/,
  },
];

for (const { name, choose, query, path } of FILTERS) {
  test(`by ${name} the list is that of the API`, async ({ salon, api }) => {
    await salon.goto('/customers?sort=name');
    await ready(salon);
    const everybody = await list(api, 'sort=name&limit=50');
    await salon.getByRole('button', { name: 'Filters' }).click();
    await choose(salon);
    await salon.keyboard.press('Enter');
    await expect(salon).toHaveURL(path);
    await ready(salon);
    const { items, total } = await list(api, `sort=name&limit=50&${query}`);
    expect(total).toBeGreaterThan(0);
    expect(total).toBeLessThan(everybody.total);
    expect(await ids(salon)).toEqual(items.map((row) => row.customer_id));
    await expect(salon.locator('.lead')).toContainText(String(total));
  });
}
