/** German words are longer than English ones: on narrow phones nothing is cut off or too wide. */
import { createCustomer } from './customers';
import { expect, settled, test, waitForModel } from './fixtures';
import { layoutFaults } from './layout';

test.use({ locale: 'de-DE' });

const PATHS = [
  '/?period=year',
  '/today',
  '/customers',
  '/customers/duplicates',
  '/customers/297?tab=everything',
  '/at-risk',
  '/calibration',
  '/drill/stage?stage=at_risk',
];

for (const width of [320, 390]) {
  test(`in German nothing is cut off at ${width} px`, async ({ salon, api }) => {
    test.setTimeout(150_000);
    await waitForModel(api);
    const email = `doppelt-${width}-${Date.now()}@mail.example`;
    await createCustomer(api, { name: 'Dora Doppelt', email });
    await createCustomer(api, { name: 'D. Doppelt', email });
    await salon.setViewportSize({ width, height: 800 });
    const found: Record<string, string[]> = {};
    for (const path of PATHS) {
      await salon.goto(path);
      await settled(salon);
      await expect(salon.locator('html')).toHaveAttribute('lang', 'de');
      const faults = await layoutFaults(salon);
      if (faults.length > 0) found[path] = faults;
    }
    expect(found).toEqual({});
  });
}

test('negative control: a cut word, a word beyond the window and a page that is too wide are found', async ({
  salon,
}) => {
  await salon.setViewportSize({ width: 320, height: 800 });
  await salon.goto('/customers');
  await settled(salon);
  expect(await layoutFaults(salon)).toEqual([]);
  const button = salon.getByRole('button', { name: 'Filter' });
  const style = (css: string) =>
    button.evaluate((element, text) => {
      element.style.cssText = text;
    }, css);
  await style('width: 50px; overflow: hidden; white-space: nowrap');
  expect(await layoutFaults(salon)).toEqual([expect.stringContaining('cut: ')]);
  await style('position: fixed; left: 300px');
  expect(await layoutFaults(salon)).toContainEqual(expect.stringContaining('outside: '));
  await style('min-width: 400px');
  expect(await layoutFaults(salon)).toContain('too wide');
});
