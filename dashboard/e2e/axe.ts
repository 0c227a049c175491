import { AxeBuilder } from '@axe-core/playwright';
import type { Page } from '@playwright/test';

/** Returns what axe finds on a page by WCAG 2.2 AA, one line each. */
export async function axeFindings(page: Page): Promise<string[]> {
  // The page learns of a changed theme with its next frame.
  await page.evaluate(
    () => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))),
  );
  const { violations } = await new AxeBuilder({ page })
    .withTags(['wcag2a', 'wcag2aa', 'wcag21aa', 'wcag22aa'])
    .analyze();
  return violations.flatMap(({ id, nodes }) =>
    nodes.map((node) => `${id}: ${node.html} ${node.failureSummary ?? ''}`),
  );
}

/** The sizes and themes in which a view is looked at. */
export const VIEWS = [
  { name: 'wide, light', width: 1440, colorScheme: 'light' },
  { name: 'wide, dark', width: 1440, colorScheme: 'dark' },
  { name: 'phone, light', width: 390, colorScheme: 'light' },
] as const;

/** Whether a page is wider than its window. */
export const isTooWide = (page: Page): Promise<boolean> =>
  page.evaluate(() => document.documentElement.scrollWidth > document.documentElement.clientWidth);
