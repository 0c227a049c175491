/** What the tests of the list of customers share. */
import type { APIRequestContext, Page } from '@playwright/test';

import { expect, settled } from './fixtures';

type Row = { customer_id: number; name: string | null };
type List = { items: Row[]; total: number };

export const freeId = () => 7_000_000 + Math.floor(Math.random() * 900_000);

/** Creates a customer with an event and, unless it is null, a name. */
export async function create(api: APIRequestContext, name: string | null): Promise<number> {
  const id = freeId();
  const event = await api.post('/api/v1/events', {
    data: {
      id: `e2e-customers-${id}`,
      source: 'e2e',
      type: 'call_received',
      customer_id: id,
      occurred_at: new Date(Date.now() - 60_000).toISOString(),
    },
  });
  expect(event.ok()).toBe(true);
  if (name !== null) {
    const profile = await api.put(`/api/v1/customers/${id}`, { data: { name } });
    expect(profile.ok()).toBe(true);
  }
  return id;
}

export async function list(api: APIRequestContext, query: string): Promise<List> {
  return (await (await api.get(`/api/v1/customers?count=true&${query}`)).json()) as List;
}

/** Waits until the list shows what its address asks for. */
export async function ready(page: Page): Promise<void> {
  await settled(page);
  await expect(page.locator('.table-scroll[aria-busy="true"]')).toHaveCount(0);
}

export const ids = (page: Page) =>
  page
    .locator('tbody th a')
    .evaluateAll((links) => links.map((link) => Number(link.getAttribute('href')?.split('/').at(-1))));

export const search = (page: Page) => page.getByRole('searchbox', { name: 'Search customers' });
