import { itemsOf, test as inCompany } from './company';
import { expect, settled, test } from './fixtures';

/** So many links of each kind are opened; the lists of the others are the same code. */
const OF_EACH = 2;

test('the list behind each number of the overview sums to it', async ({ salon, watch }) => {
  test.setTimeout(120_000);
  await salon.goto('/?period=year');
  await settled(salon);
  const links = await salon.locator('a[href^="/drill/"]').evaluateAll((all) =>
    all.map((link) => ({
      href: link.getAttribute('href') ?? '',
      text: link.textContent ?? '',
      name: link.getAttribute('aria-label') ?? '',
    })),
  );
  const opened = new Map<string, string[]>();
  for (const { href } of links) {
    const figure = href.split(/[/?]/)[2] ?? '';
    const known = opened.get(figure) ?? [];
    if (known.length < OF_EACH && !known.includes(href)) opened.set(figure, [...known, href]);
  }
  expect([...opened.keys()].toSorted()).toEqual(
    expect.arrayContaining(['cohort', 'flow', 'funnel', 'risk', 'stage', 'total', 'visits']),
  );
  for (const href of [...opened.values()].flat()) {
    watch.api.length = 0;
    await salon.goto(href);
    await settled(salon);
    const more = salon.getByRole('button', { name: 'Show more' });
    while (await more.isVisible()) {
      const rows = await salon.locator('tbody tr').count();
      await more.click();
      await expect.poll(() => salon.locator('tbody tr').count()).toBeGreaterThan(rows);
    }
    const shown = salon.locator('.total-shown');
    await expect(shown, href).toHaveText(/^All [\d,]+ shown$/);
    await expect(salon.locator('.total-differs'), href).toHaveCount(0);
    const rows = await salon.locator('tbody tr').count();
    await expect(shown, href).toHaveText(`All ${rows} shown`);
    expect(watch.api.length, href).toBeLessThanOrEqual(16);
  }
});

test('a number opens its customers, their CSV, and the way back', async ({ salon }) => {
  await salon.goto('/?period=year');
  await settled(salon);
  const link = salon.locator('.strip').getByRole('link', { name: /VIP/ });
  const count = (await link.locator('.strip-block').textContent()) ?? '';
  await link.click();
  await settled(salon);

  await expect(salon.getByRole('heading', { level: 1 })).toHaveText('In VIP Customer');
  await expect(salon.locator('.total-number')).toHaveText(`${count} customers`);
  const [file] = await Promise.all([
    salon.waitForEvent('download'),
    salon.getByRole('button', { name: 'CSV of all' }).click(),
  ]);
  const stream = await file.createReadStream();
  const text = (await stream.toArray()).map((part: Buffer) => part.toString()).join('');
  expect(text.trimEnd().split('\r\n')).toHaveLength(Number(count) + 1);

  await salon.getByRole('button', { name: 'Back' }).click();
  await expect(salon).toHaveURL(/\/\?period=year$/);
});

test('a list whose address makes no sense says what is wrong', async ({ salon, watch }) => {
  watch.allowed.push(/422/);
  await salon.goto('/drill/stage?stage=nowhere!');
  await expect(salon.getByRole('alert')).toContainText('Request id');
  await salon.goto('/drill/nothing');
  await expect(salon.getByText('There is no such page')).toBeVisible();
});

inCompany('an email for every customer behind a number', async ({ page, company }) => {
  await page.goto('/drill/stage?stage=at_risk');
  await settled(page);
  const all = page.getByRole('group', { name: 'For all of them:' });
  await all.getByRole('button', { name: 'Email' }).click();
  const dialog = page.getByRole('dialog', { name: 'Email to 5 customers' });
  await expect(dialog.locator('[data-outcome=no_address] dd')).toHaveText('1');
  await expect(dialog.locator('[data-outcome=no_consent] dd')).toHaveText('1');
  await dialog.getByRole('button', { name: 'Send 3 emails' }).click();
  await expect(page.locator('.bulk-job [data-outcome=ok] dd')).toHaveText('3');

  const actions = await itemsOf<{ name: string; state: string; customer_id: number }>(
    company.api,
    '/api/v1/actions?limit=200',
  );
  const sent = actions.filter(({ name, state }) => name === 'personal_email' && state !== 'cancelled');
  expect(new Set(sent.map(({ customer_id: id }) => id))).toEqual(new Set([1, 2, 5]));
});
