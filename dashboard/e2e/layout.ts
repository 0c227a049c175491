/** What is cut off on a page, or wider than the window. */
import type { Page } from '@playwright/test';

import { isTooWide } from './axe';

/** Returns the texts that are cut off or reach beyond the window. Values of customers may be shortened. */
const cutTexts = (page: Page): Promise<string[]> =>
  page.evaluate(() => {
    const found: string[] = [];
    for (const element of document.querySelectorAll('body *')) {
      const text = [...element.childNodes]
        .map((node) => (node instanceof Text ? node.data.trim() : ''))
        .join(' ')
        .trim();
      const { left, right, width } = element.getBoundingClientRect();
      const isShown = text !== '' && width > 0 && element.checkVisibility({ opacityProperty: true });
      if (!isShown || element.closest('.hidden, .skip') !== null) continue;
      let scrolling: Element | null = element;
      while (scrolling !== null && !['auto', 'scroll'].includes(getComputedStyle(scrolling).overflowX))
        scrolling = scrolling.parentElement;
      const isOutside = (right > innerWidth + 1 || left < -1) && scrolling === null;
      const box = element.closest('button, .chip, .ant-btn') ?? element;
      const isValue = element.closest('bdi, .who, code, button.assignee:not(.none)') !== null;
      const isClipped = box !== element || getComputedStyle(element).overflowX !== 'visible';
      // Headings for readers are 1 px wide.
      const isCut = !isValue && isClipped && box.clientWidth > 1 && box.scrollWidth > box.clientWidth + 1;
      if (isOutside || isCut) found.push(`${isCut ? 'cut' : 'outside'}: ${element.className} "${text}"`);
    }
    return found;
  });

/** Returns what is wrong with the layout of a page; nothing if it fits. */
export async function layoutFaults(page: Page): Promise<string[]> {
  const cut = await cutTexts(page);
  return (await isTooWide(page)) ? ['too wide', ...cut] : cut;
}
