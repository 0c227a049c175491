import type { Page } from '@playwright/test';

import { expect, settled, test } from './fixtures';

/** Ends the session behind the page's back, and has the page notice. */
async function loseSession(page: Page): Promise<void> {
  await page.goto('/');
  await settled(page);
  await page.context().clearCookies();
  await page.getByText('Quarter', { exact: true }).click();
  await expect(page.getByRole('dialog')).toContainText('Your session has ended');
}

test('a session that ends lays the sign-in over the page, and the page stays', async ({ salon, watch }) => {
  watch.allowed.push(/401/);
  await loseSession(salon);

  await expect(salon.locator('.statistic-value').first()).toBeAttached();
  const link = salon.getByRole('dialog').getByRole('link', { name: 'Sign in' });
  await expect(link).toHaveAttribute('href', /^\/sign-in\?next=%2F/);
});

test('negative control: without the nonce of made styles the policy is violated', async ({
  salon,
  watch,
}) => {
  watch.allowed.push(/401/);
  // The page cannot replace what makes elements, so antd's own style elements get no nonce.
  await salon.addInitScript(() => {
    const create = document.createElement.bind(document);
    Object.defineProperty(document, 'createElement', { get: () => create, set: () => {} });
  });
  await loseSession(salon);

  await expect
    .poll(() => watch.problems.filter((problem) => /Content Security Policy/.test(problem)).length)
    .toBeGreaterThan(0);
  watch.problems.length = 0;
});

test('negative control: a foreign request and an inline script are noticed', async ({ salon, watch }) => {
  await salon.goto('/');
  await settled(salon);
  await salon.evaluate(() => {
    const script = document.createElement('script');
    script.textContent = 'window.evil = true';
    document.body.append(script);
    return fetch('https://evil.example/').catch(() => null);
  });

  await expect
    .poll(() => watch.problems.some((problem) => /Content Security Policy/.test(problem)))
    .toBe(true);
  expect(await salon.evaluate(() => 'evil' in window)).toBe(false);
  watch.problems.length = 0;
});
