/** A company of its own for a test: it starts with customers at risk, and nobody else acts in it. */
import type { APIRequestContext } from '@playwright/test';

import { expect, signIn, test as base } from './fixtures';

export type Person = {
  name: string;
  /** Days since the last appointment. */
  days: number;
  email?: string | null;
  consents?: Record<string, string>;
};
export type Company = {
  id: number;
  api: APIRequestContext;
  /** Signs the page in as somebody with the rights of a role. */
  signInAs: (role: string) => Promise<void>;
  /** Signs the page in with a key. */
  signInWith: (secret: string) => Promise<void>;
};

const DAY_MS = 86_400_000;
/** More than 90 days since the last appointment bring a customer into the first risk stage. */
export const PEOPLE: readonly Person[] = [
  { name: 'Ada Adler', days: 170 },
  { name: 'Bela Busch', days: 150 },
  { name: 'Cem Can', days: 130, email: null },
  { name: 'Dora Dahl', days: 110, consents: { email: 'withdrawn' } },
  { name: 'Emil Egger', days: 100 },
];

export const idOf = (name: string): number => PEOPLE.findIndex((person) => person.name === name) + 1;

async function addPeople(api: APIRequestContext, now: number): Promise<void> {
  const events = [];
  for (const [index, { name, days, email, consents = {} }] of PEOPLE.entries()) {
    const id = index + 1;
    const address = email === null ? null : `${name.split(' ')[0]?.toLowerCase() ?? ''}@mail.example`;
    const profile = { name, email: address, phone: `+49 30 55500${id}`, consents };
    const answer = await api.put(`/api/v1/customers/${id}`, { data: profile });
    expect(answer.ok(), await answer.text()).toBe(true);
    events.push({
      id: `last-${id}`,
      source: 'e2e',
      type: 'appointment_completed',
      customer_id: id,
      occurred_at: new Date(now - days * DAY_MS).toISOString(),
      data: { total_amount: 100 * id },
    });
  }
  const sent = await api.post('/api/v1/events/batch', { data: events });
  expect(sent.ok(), await sent.text()).toBe(true);
}

export const test = base.extend<{ company: Company; clock: string | null }>({
  /** The company's time; null: it runs in real time. */
  clock: [null, { option: true }],
  /** Signs the page in to a new company, as a person with all rights. */
  company: async ({ page, watch, playwright, service, clock }, use) => {
    expect(watch.problems).toEqual([]);
    const open = (secret: string) =>
      playwright.request.newContext({
        baseURL: service.url,
        extraHTTPHeaders: { Authorization: `Bearer ${secret}` },
      });
    const operator = await open(service.operator);
    const created = await operator.post('/api/v1/admin/companies', {
      data: { name: 'Atelier Test', timezone: 'Europe/Berlin', test_clock: clock },
    });
    const { id } = (await created.json()) as { id: number };
    const key = await operator.post(`/api/v1/admin/companies/${id}/keys`, {
      data: { name: 'e2e', scopes: ['*'] },
    });
    const { secret } = (await key.json()) as { secret: string };
    const api = await open(secret);
    await addPeople(api, clock === null ? Date.now() : Date.parse(clock));
    await signIn(page.context(), service, secret);
    const signInWith = async (own: string) => {
      await page.context().clearCookies();
      await signIn(page.context(), service, own);
    };
    const signInAs = async (role: string) => {
      const made = await api.post('/api/v1/admin/keys', { data: { name: role, role } });
      await signInWith(((await made.json()) as { secret: string }).secret);
    };
    await use({ id, api, signInAs, signInWith });
    await api.dispose();
    await operator.dispose();
  },
});

/** Reads a list of the API. */
export async function itemsOf<T>(api: APIRequestContext, path: string): Promise<T[]> {
  const answer = await api.get(path);
  expect(answer.ok(), await answer.text()).toBe(true);
  return ((await answer.json()) as { items: T[] }).items;
}

export { expect };
