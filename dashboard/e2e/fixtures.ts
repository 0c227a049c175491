/** A page that fails its test on an error in the console, a violation of the policy, a foreign request, or a 5xx. */
import {
  test as base,
  expect,
  type APIRequestContext,
  type BrowserContext,
  type Page,
} from '@playwright/test';

export type Service = {
  url: string;
  /** API keys of the demo companies, by their ids. */
  keys: Record<string, string>;
  links: string[];
  operator: string;
  folder: string;
};
/** What went wrong on a page, and what may. */
export type Watch = { problems: string[]; api: string[]; allowed: RegExp[] };
type Fixtures = { service: Service; watch: Watch; api: APIRequestContext; salon: Page };

export const SALON = '1';
export const STUDIO = '3';

export function watchPage(page: Page, origin: string, watch: Watch): void {
  const add = (problem: string) => {
    if (!watch.allowed.some((pattern) => pattern.test(problem))) watch.problems.push(problem);
  };
  page.on('console', (message) => {
    if (message.type() === 'error') add(`console: ${message.text()}`);
  });
  page.on('pageerror', (error) => add(`error: ${error.message}`));
  page.on('request', (request) => {
    const { origin: asked, pathname } = new URL(request.url());
    if (asked !== origin && !request.url().startsWith('data:') && !request.url().startsWith('blob:'))
      add(`foreign request: ${request.url()}`);
    else if (pathname.startsWith('/api/')) watch.api.push(request.url());
  });
  page.on('response', (response) => {
    if (response.status() >= 500) add(`${response.status()}: ${response.url()}`);
  });
}

/** Signs a browser in with a key of a company, as its sign-in form would. */
export async function signIn(
  context: BrowserContext,
  service: Pick<Service, 'url' | 'keys'>,
  company: string,
): Promise<void> {
  const answer = await context.request.post(`${service.url}/api/v1/session`, {
    headers: { Authorization: `Bearer ${service.keys[company] ?? company}` },
  });
  expect(answer.status()).toBe(201);
}

export const test = base.extend<Fixtures>({
  service: async ({}, use) => {
    await use(JSON.parse(process.env.JOURNEY_E2E ?? '{}') as Service);
  },
  baseURL: async ({ service }, use) => {
    await use(service.url);
  },
  watch: async ({ page, service }, use) => {
    const watch: Watch = { problems: [], api: [], allowed: [] };
    watchPage(page, service.url, watch);
    await use(watch);
    expect(watch.problems).toEqual([]);
  },
  api: async ({ playwright, service }, use) => {
    const context = await playwright.request.newContext({
      baseURL: service.url,
      extraHTTPHeaders: { Authorization: `Bearer ${service.keys[SALON] ?? ''}` },
    });
    await use(context);
    await context.dispose();
  },
  /** A page of a browser that is signed in to the salon of the demo. */
  salon: async ({ page, watch, service }, use) => {
    expect(watch.problems).toEqual([]);
    await signIn(page.context(), service, SALON);
    await use(page);
  },
});

/** Waits until nothing of the view is missing any more. */
export async function settled(page: Page): Promise<void> {
  await expect(page.locator('h1')).toBeVisible();
  await expect(page.locator('.loading')).toHaveCount(0);
  await page.evaluate(() => document.fonts.ready);
}

/** Waits until the churn model of the company is there: a worker fits it when the demo has started. */
export async function waitForModel(api: APIRequestContext): Promise<void> {
  const isFitted = async () => {
    const answer = await api.get('/api/v1/admin/jobs?kind=fit_churn_model');
    const { items } = (await answer.json()) as { items: { status: string }[] };
    return items.some(({ status }) => status === 'done');
  };
  await expect.poll(isFitted, { timeout: 60_000 }).toBe(true);
}

export { expect };
