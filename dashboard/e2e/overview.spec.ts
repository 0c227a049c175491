import { expect, settled, signIn, STUDIO, test } from './fixtures';

type Report = { items: { stage_key: string; customers: number }[] };
type Overview = { total_customers: number; at_risk_count: number; vip_count: number };

test('the one-time link of `make run` lands on the overview', async ({ page, watch, service }) => {
  await page.goto(service.links[0] ?? '');
  await settled(page);

  await expect(page).toHaveURL(`${service.url}/`);
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('Overview');
  await expect(page.getByRole('navigation', { name: 'Main' }).first()).toContainText('Salon Lumière');
  expect(watch.api.filter((url) => !url.includes('/stream')).length).toBeLessThanOrEqual(16);
});

test('a browser without a session signs in and comes back to where it was', async ({
  page,
  watch,
  service,
}) => {
  expect(watch.problems).toEqual([]);
  await page.goto('/?period=year');
  await page.getByLabel('API key').fill(service.keys['1'] ?? '');
  await page.getByRole('button', { name: 'Sign in' }).click();
  await expect(page.getByRole('heading', { name: 'Overview' })).toBeVisible();

  await expect(page).toHaveURL(/\/\?period=year$/);
});

test('the four statistics are those of the API, with the period before', async ({ salon, api }) => {
  const report = (await (await api.get('/api/v1/analytics/overview?period=quarter')).json()) as Overview;
  await salon.goto('/?period=quarter');
  await settled(salon);
  const cards = salon.getByRole('region', { name: 'Statistics' }).getByRole('link');

  await expect(cards).toHaveCount(4);
  await expect(cards.nth(0)).toContainText(String(report.total_customers));
  await expect(cards.nth(1)).toContainText(String(report.at_risk_count));
  await expect(cards.nth(2)).toContainText(String(report.vip_count));
  await expect(cards.nth(1)).toContainText(/before: \d+/);
});

test('each chart names itself, has the table of its numbers, and their CSV', async ({ salon, api }) => {
  await salon.goto('/?period=year');
  await settled(salon);
  const titles = ['Where customers are', 'Conversion funnel', 'Moves between stages', 'Time in each stage'];
  for (const title of [...titles, 'Customers by stage', 'Risk now']) {
    const chart = salon.getByRole('region', { name: title }).first();
    const href = await chart.getByRole('link', { name: `CSV: ${title}` }).getAttribute('href');
    const csv = await api.get(href ?? '');
    expect(csv.headers()['content-type']).toContain('text/csv');
    await chart.getByRole('button', { name: `Table: ${title}` }).click();
    await expect(chart.getByRole('table')).toBeVisible();
  }
});

test('periods and free days are in the address, and going back brings them back', async ({ salon }) => {
  await salon.goto('/');
  await settled(salon);
  await salon.getByText('Year', { exact: true }).click();
  await expect(salon).toHaveURL(/period=year/);
  await expect(salon.locator('.lead')).toContainText(String(new Date().getFullYear() - 1));

  await salon.getByRole('button', { name: 'Choose days' }).click();
  await salon.getByLabel('First day').fill('1 Mar 2026');
  await salon.keyboard.press('Enter');
  await salon.getByLabel('Last day').fill('31 Mar 2026');
  await salon.keyboard.press('Enter');
  await salon.getByRole('button', { name: 'Show', exact: true }).click();
  await expect(salon).toHaveURL(/from=2026-03-01&to=2026-03-31/);
  await expect(salon.locator('.lead')).toContainText('1 Mar 2026 to 31 Mar 2026');

  await salon.goBack();
  await expect(salon).toHaveURL(/period=year/);
});

test('the slider reads the strip of a past day', async ({ salon, api }) => {
  await salon.goto('/');
  await settled(salon);
  const slider = salon.getByRole('slider', { name: 'As of' });
  await slider.focus();
  await slider.press('Home');
  await expect(salon).toHaveURL(/as_of=/);
  const day = new URL(salon.url()).searchParams.get('as_of') ?? '';
  const then = (await (
    await api.get(`/api/v1/analytics/distribution?as_of=${day}T12:00:00Z`)
  ).json()) as Report;
  const regular = then.items.find((item) => item.stage_key === 'regular')?.customers ?? -1;

  await expect(salon.locator('.strip').getByRole('link', { name: /Regular/ })).toContainText(String(regular));
  await slider.press('End');
  await expect(salon).not.toHaveURL(/as_of=/);
});

test('arrow keys read single days of the chart aloud', async ({ salon }) => {
  await salon.goto('/?period=quarter');
  await settled(salon);
  const slider = salon.getByRole('slider', { name: 'Day' });
  const before = await slider.getAttribute('aria-valuetext');
  await slider.focus();
  await slider.press('ArrowLeft');

  expect(await slider.getAttribute('aria-valuetext')).not.toBe(before);
  await expect(salon.locator('.cursor-line')).toBeAttached();
});

test('a stage flows both ways: moves back are hatched', async ({ salon }) => {
  await salon.goto('/?period=year');
  await settled(salon);

  const back = salon.locator('.flow a[data-back="true"]');
  expect(await back.count()).toBeGreaterThan(0);
  await expect(back.first().locator('path[fill="url(#hatch)"]')).toHaveCount(1);
  await expect(salon.locator('.flow a[data-back="false"] path[fill="url(#hatch)"]')).toHaveCount(0);
});

test('new customers are followed: each part of a bar opens as many customers', async ({ salon, api }) => {
  const path = '/api/v1/analytics/funnel?period=year&mode=cohort';
  const [first] = ((await (await api.get(path)).json()) as Report).items;
  await salon.goto('/?period=year');
  await settled(salon);
  await salon.getByText('New customers', { exact: true }).click();
  await expect(salon).toHaveURL(/funnel=cohort/);
  await salon.getByText('Quarter', { exact: true }).click();
  await expect(salon).toHaveURL(/period=quarter.*funnel=cohort|funnel=cohort.*period=quarter/);
  await salon.getByText('Year', { exact: true }).click();
  const bar = salon.getByRole('link', { name: /new customers reached/ }).first();
  await expect(bar).toHaveText(String(first?.customers));

  const part = salon.getByRole('link', { name: /new customers? went on from/ }).first();
  const count = await part.textContent();
  await part.click();
  await settled(salon);
  await expect(salon).toHaveURL(/outcome=converted/);
  await expect(salon.getByText(`${count} customers`).first()).toBeVisible();
});

test('steps up: of the stays that ended, as the API counts them', async ({ salon, api }) => {
  const answer = await api.get('/api/v1/analytics/conversion-rates?period=year');
  const { items } = (await answer.json()) as { items: { visits: number; converted: number }[] };
  await salon.goto('/?period=year');
  await settled(salon);
  const rows = salon.getByRole('region', { name: 'Steps up' }).getByRole('row');

  await expect(rows).toHaveCount(items.length + 1);
  await expect(rows.nth(1)).toContainText(`${items[0]?.converted} of ${items[0]?.visits}`);
});

test('free days are compared with as many days before', async ({ salon, api }) => {
  const before = '/api/v1/analytics/overview?from=2026-03-01&to=2026-03-31';
  const report = (await (await api.get(before)).json()) as { new_customers: number };
  await salon.goto('/?from=2026-04-01&to=2026-05-01');
  await settled(salon);
  const card = salon.getByRole('region', { name: 'Statistics' }).getByRole('link').first();

  await expect(card).toContainText(`before: ${report.new_customers}`);
});

test('clear colours are a choice of this browser', async ({ salon }) => {
  await salon.goto('/');
  await settled(salon);
  const chip = salon.locator('.funnel .chip').first();
  const own = await chip.evaluate((element) => getComputedStyle(element).backgroundColor);
  await salon.getByRole('button', { name: /Account/ }).click();
  await salon.getByText('Clear colours').click();
  await expect
    .poll(() => chip.evaluate((element) => getComputedStyle(element).backgroundColor))
    .not.toBe(own);
  const clear = await chip.evaluate((element) => getComputedStyle(element).backgroundColor);
  await salon.reload();
  await settled(salon);

  expect(await chip.evaluate((element) => getComputedStyle(element).backgroundColor)).toBe(clear);
});

test('German: words, numbers and days', async ({ salon }) => {
  await salon.goto('/?period=year');
  await settled(salon);
  await salon.getByRole('button', { name: /Account/ }).click();
  await salon.getByText('Deutsch').click();

  await expect(salon.getByRole('heading', { level: 1 })).toHaveText('Überblick');
  await expect(salon.locator('html')).toHaveAttribute('lang', 'de');
  await expect(salon.locator('.lead')).toContainText(/\d\d\.\d\d\.\d{4} bis/);
  await expect(salon.locator('.statistic-value').nth(3)).toContainText(/,\d\d\s€/);
});

test('yen have no decimals, and days are those of Tokyo', async ({ page, watch, service }) => {
  expect(watch.problems).toEqual([]);
  await signIn(page.context(), service, STUDIO);
  await page.goto('/?period=year');
  await settled(page);

  await expect(page.locator('.statistic-value').nth(3)).toHaveText(/^JP¥[\d,]+$/);
  await expect(page.locator('.lead')).toContainText('Tokyo days');
});
