import type { Page } from '@playwright/test';

import { expect, SALON, settled, signIn, test } from './fixtures';

/** Ends the session behind the page's back, and has the page notice. */
async function loseSession(page: Page): Promise<void> {
  await page.goto('/');
  await settled(page);
  await page.context().clearCookies();
  await page.getByText('Quarter', { exact: true }).click();
  await expect(page.getByRole('dialog')).toContainText('Your session has ended');
}

test('a session that ends lays the sign-in over the page, and the page stays', async ({
  salon,
  service,
  watch,
}) => {
  watch.allowed.push(/401/);
  await loseSession(salon);

  await expect(salon.locator('.statistic-value').first()).toBeAttached();
  const dialog = salon.getByRole('dialog');
  await expect(dialog.getByRole('link', { name: 'Sign in' })).toHaveAttribute('href', /^\/sign-in\?next=%2F/);

  await signIn(salon.context(), service, SALON);
  await dialog.getByRole('button', { name: 'I have signed in' }).click();
  await settled(salon);
  await expect(dialog).toHaveCount(0);
  await expect(salon).toHaveURL(/period=quarter/);
  await expect(salon.locator('.failure')).toHaveCount(0);
});

test('signing out ends the session and leads to the sign-in', async ({ salon }) => {
  await salon.goto('/');
  await settled(salon);
  await salon.getByRole('button', { name: /Account/ }).click();
  await salon.getByText('Sign out').click();
  await expect(salon).toHaveURL(/\/sign-in$/);
  await salon.goto('/?period=year');
  await expect(salon).toHaveURL(/\/sign-in\?next=/);
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
