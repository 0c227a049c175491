import { AxeBuilder } from '@axe-core/playwright';

import { expect, settled, test } from './fixtures';

const WIDTHS = { wide: 1440, phone: 390 };

for (const theme of ['light', 'dark'] as const) {
  for (const [size, width] of Object.entries(WIDTHS)) {
    test(`axe finds nothing on the overview, ${theme}, ${size}`, async ({ salon }) => {
      await salon.setViewportSize({ width, height: 900 });
      await salon.emulateMedia({ colorScheme: theme });
      await salon.goto('/?period=year');
      await settled(salon);
      expect(await violations(new AxeBuilder({ page: salon }))).toEqual([]);
    });
  }
}

for (const [theme, width] of [
  ['light', 1440],
  ['dark', 1440],
  ['light', 390],
] as const) {
  test(`axe finds nothing on a customer, ${theme}, ${width}`, async ({ salon }) => {
    await salon.setViewportSize({ width, height: 900 });
    await salon.emulateMedia({ colorScheme: theme });
    await salon.goto('/customers/297?tab=everything');
    await settled(salon);
    await salon
      .getByRole('button', { name: /Show why/ })
      .first()
      .click();
    expect(await violations(new AxeBuilder({ page: salon }))).toEqual([]);
  });
}

test('axe finds nothing on the dialog of a move', async ({ salon }) => {
  await salon.goto('/customers/297');
  await settled(salon);
  await salon.keyboard.press('m');
  await salon.getByRole('checkbox', { name: /Hold here/ }).check();
  await expect(salon.getByRole('textbox', { name: 'Until' })).toBeVisible();
  expect(await violations(new AxeBuilder({ page: salon }))).toEqual([]);
});

test('axe finds nothing on a list', async ({ salon }) => {
  await salon.goto('/drill/stage?stage=vip');
  await settled(salon);
  expect(await violations(new AxeBuilder({ page: salon }))).toEqual([]);
});

for (const [theme, width] of [
  ['light', 1440],
  ['dark', 1440],
  ['light', 390],
] as const) {
  test(`axe finds nothing on the customers, their filters and the palette, ${theme}, ${width}`, async ({
    salon,
  }) => {
    await salon.setViewportSize({ width, height: 900 });
    await salon.emulateMedia({ colorScheme: theme });
    await salon.goto('/customers?stage=vip,regular&sort=-risk_score');
    await settled(salon);
    await salon.getByRole('button', { name: /Filters/ }).click();
    await expect(salon.getByLabel('Risk from (%)')).toBeVisible();
    expect(await violations(new AxeBuilder({ page: salon }))).toEqual([]);
    if (width < 900) await salon.keyboard.press('Escape');
    await salon.keyboard.press('Control+k');
    await salon.getByRole('combobox', { name: 'Find a customer or a page' }).fill('sch');
    await expect(salon.getByRole('listbox').getByRole('option').nth(2)).toBeVisible();
    expect(await violations(new AxeBuilder({ page: salon }).include('.palette'))).toEqual([]);
  });
}

test('the keyboard alone opens a number', async ({ salon }) => {
  await salon.goto('/');
  await settled(salon);
  await salon.keyboard.press('Tab');
  await expect(salon.getByRole('link', { name: 'Skip to content' })).toBeFocused();
  await salon.keyboard.press('Enter');
  const first = salon.locator('.statistic').first();
  for (
    let count = 0;
    count < 12 && !(await first.evaluate((link) => link === document.activeElement));
    count += 1
  )
    await salon.keyboard.press('Tab');
  await expect(first).toBeFocused();
  await salon.keyboard.press('Enter');
  await expect(salon).toHaveURL(/\/drill\/total/);
});

async function violations(builder: AxeBuilder): Promise<string[]> {
  const { violations: found } = await builder
    .withTags(['wcag2a', 'wcag2aa', 'wcag21aa', 'wcag22aa'])
    .analyze();
  return found.flatMap(({ id, nodes }) =>
    nodes.map((node) => `${id}: ${node.html} ${node.failureSummary ?? ''}`),
  );
}
