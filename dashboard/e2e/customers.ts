/** Customers of the tests of the customer's page, made over the API. */
import type { APIRequestContext, Page } from '@playwright/test';

import { expect, settled } from './fixtures';

export type Journey = {
  current_stage: string;
  stage_name: string;
  created_at: string;
  version: number;
  pin_until: string | null;
  notes: string | null;
  owner: string | null;
};
type Event = { type: string; daysAgo: number; data?: object };

/** An appointment that makes a prospect a customer. */
export const MET = { type: 'appointment_completed', daysAgo: 2, data: { total_amount: 40 } };

const DAY_MS = 86_400_000;
let made = 0;

const inBerlin = (instant: string | number, options: Intl.DateTimeFormatOptions, locale = 'en-GB'): string =>
  new Intl.DateTimeFormat(locale, { timeZone: 'Europe/Berlin', ...options }).format(new Date(instant));

/** Local day of the salon, as `2026-06-01`. */
export const dayOf = (instant: string | number): string => inBerlin(instant, {}, 'sv-SE');

/** The instant at which a local day of the salon ends. */
export function endOf(day: string): string {
  const utc = Date.parse(`${day}T22:00:00Z`);
  const isMidnight = inBerlin(utc, { hour: '2-digit', hourCycle: 'h23' }) === '00';
  return new Date(isMidnight ? utc : utc + 3_600_000).toISOString();
}

/** A day as pages write it: `1 Jun 2026`. */
export const shortDay = (day: string): string =>
  inBerlin(`${day}T12:00:00Z`, { day: 'numeric', month: 'short', year: 'numeric' });

/** Creates a customer with a profile and events, and returns the id. */
export async function createCustomer(
  api: APIRequestContext,
  profile: object,
  events: readonly Event[] = [],
): Promise<number> {
  made += 1;
  const id = 100_000_000 + Math.floor(Math.random() * 100_000_000) + made;
  expect((await api.put(`/api/v1/customers/${id}`, { data: profile })).ok()).toBe(true);
  for (const event of events) await send(api, id, event);
  return id;
}

export async function send(
  api: APIRequestContext,
  id: number,
  { type, daysAgo, data }: Event,
): Promise<void> {
  made += 1;
  const occurred = new Date(Date.now() - daysAgo * DAY_MS - 60_000).toISOString();
  const answer = await api.post('/api/v1/events', {
    data: {
      id: `customer-${id}-${made}`,
      source: 'e2e',
      type,
      customer_id: id,
      occurred_at: occurred,
      ...(data === undefined ? {} : { data }),
    },
  });
  expect(answer.ok(), await answer.text()).toBe(true);
}

export async function journeyOf(api: APIRequestContext, id: number, asOf?: string): Promise<Journey> {
  const query = asOf === undefined ? '' : `?as_of=${asOf}`;
  return (await (await api.get(`/api/v1/customers/${id}/journey${query}`)).json()) as Journey;
}

/** Moves a customer over the API, as another person would. */
export async function move(api: APIRequestContext, id: number, stage: string, notes?: string): Promise<void> {
  const { version } = await journeyOf(api, id);
  const answer = await api.post(`/api/v1/customers/${id}/transitions`, {
    headers: { 'If-Match': `"${version}"` },
    data: { to_stage: stage, ...(notes === undefined ? {} : { notes }) },
  });
  expect(answer.ok(), await answer.text()).toBe(true);
}

type Transition = { to_stage: string; notes: string | null; trigger_type: string };

export async function movesOf(api: APIRequestContext, id: number): Promise<Transition[]> {
  const answer = await api.get(`/api/v1/customers/${id}/transitions?limit=200`);
  return ((await answer.json()) as { items: Transition[] }).items;
}

export async function openCustomer(page: Page, id: number, origin = ''): Promise<void> {
  await page.goto(`${origin}/customers/${id}`);
  await settled(page);
}

/** Creates two customers with one email address; the second one has more to give. */
export async function twins(
  api: APIRequestContext,
): Promise<{ email: string; first: number; second: number }> {
  made += 1;
  const email = `twin-${made}-${Date.now()}@mail.example`;
  const first = await createCustomer(api, { name: 'Tilda Twin', email }, [MET]);
  const phone = `+49 30 77${first % 1_000_000}`;
  const profile = { name: 'T. Twin', email: email.toUpperCase(), phone, consents: { email: 'withdrawn' } };
  return { email, first, second: await createCustomer(api, profile, [MET, { ...MET, daysAgo: 9 }]) };
}
