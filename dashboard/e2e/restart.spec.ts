/** The service is killed while somebody works, and started again: nothing typed is lost, nothing is done twice. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { APIRequestContext } from '@playwright/test';

import { createCustomer, MET, movesOf, openCustomer } from './customers';
import { expect, signIn, test as base } from './fixtures';
import { startJourney, type Running } from './service';

type Killable = { running: Running; restart: () => Promise<void>; api: APIRequestContext; secret: string };

const test = base.extend<{ killable: Killable }>({
  killable: async ({ playwright }, use) => {
    const folder = await mkdtemp(join(tmpdir(), 'journey-restart-'));
    let running = await startJourney(folder);
    const { url, operator } = running;
    const open = (secret: string) =>
      playwright.request.newContext({
        baseURL: url,
        extraHTTPHeaders: { Authorization: `Bearer ${secret}` },
      });
    const owner = await open(operator);
    const company = await owner.post('/api/v1/admin/companies', {
      data: { name: 'A salon', timezone: 'UTC' },
    });
    const { id } = (await company.json()) as { id: number };
    const made = await owner.post(`/api/v1/admin/companies/${id}/keys`, {
      data: { name: 'e2e', scopes: ['*'] },
    });
    const { secret } = (await made.json()) as { secret: string };
    const restart = async () => {
      running = await startJourney(folder, { port: Number(new URL(url).port), operator });
    };
    await use({ running, restart, api: await open(secret), secret });
    await running.kill('SIGTERM');
    await rm(folder, { recursive: true, force: true });
  },
});

test.setTimeout(180_000);

test('a killed service: the page says so, keeps what was typed, and goes on', async ({ page, killable }) => {
  const { running, restart, api, secret } = killable;
  const id = await createCustomer(api, { name: 'Mona Moved' }, [MET]);
  await signIn(page.context(), { url: running.url, keys: {} }, secret);
  await openCustomer(page, id, running.url);
  await page.keyboard.press('m');
  const dialog = page.getByRole('dialog');
  await dialog.getByRole('radio', { name: 'VIP Customer' }).check();
  await dialog.getByLabel('Why (kept with the move)').fill('Promised to come monthly');

  await running.kill('SIGKILL');
  await dialog.getByRole('button', { name: 'Move to VIP Customer' }).click();
  await expect(dialog.getByRole('alert')).toBeVisible();
  await expect(dialog.getByLabel('Why (kept with the move)')).toHaveValue('Promised to come monthly');

  await restart();
  await dialog.getByRole('button', { name: 'Move to VIP Customer' }).click();
  await expect(page.locator('.customer-head .chip')).toHaveText('VIP Customer');
  const moves = (await movesOf(api, id)).filter(({ to_stage: stage }) => stage === 'vip');
  expect(moves.map(({ notes }) => notes)).toEqual(['Promised to come monthly']);
});
