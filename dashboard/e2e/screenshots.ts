/** Pictures of the documentation, from the demo: `npm run screenshots`. Look at them. */
import { fileURLToPath } from 'node:url';

import { settled, test } from './fixtures';

const FOLDER = fileURLToPath(new URL('../../docs/screens/', import.meta.url));
const SIZES = { desktop: { width: 1440, height: 1000 }, phone: { width: 390, height: 844 } };

/** The pages that are shown, by the beginning of the names of their pictures. */
const PAGES = { overview: '/?period=year', customers: '/customers', customer: '/customers/297' };

for (const [name, path] of Object.entries(PAGES)) {
  for (const [size, viewport] of Object.entries(SIZES)) {
    for (const theme of ['light', 'dark'] as const) {
      test(`${name}-${size}-${theme}`, async ({ salon }) => {
        await salon.setViewportSize(viewport);
        await salon.emulateMedia({ colorScheme: theme, reducedMotion: 'reduce' });
        await salon.goto(path);
        await settled(salon);
        if (size === 'desktop' && name !== 'customers') {
          // As high as the page, so that what sticks to the window reaches its end.
          const height = await salon.evaluate(() => document.documentElement.scrollHeight);
          await salon.setViewportSize({ ...viewport, height });
        }
        await salon.screenshot({ path: `${FOLDER}${name}-${size}-${theme}.png` });
      });
    }
  }
}
