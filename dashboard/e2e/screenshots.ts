/** Pictures of the documentation, from the demo: `npm run screenshots`. Look at them. */
import { fileURLToPath } from 'node:url';

import { settled, test } from './fixtures';

const FOLDER = fileURLToPath(new URL('../../docs/screens/', import.meta.url));
const SIZES = { desktop: { width: 1440, height: 1000 }, phone: { width: 390, height: 844 } };

const VIEWS = { overview: '/?period=year', customer: '/customers/297' };

for (const [view, path] of Object.entries(VIEWS)) {
  for (const [size, viewport] of Object.entries(SIZES)) {
    for (const theme of ['light', 'dark'] as const) {
      test(`${view}-${size}-${theme}`, async ({ salon }) => {
        await salon.setViewportSize(viewport);
        await salon.emulateMedia({ colorScheme: theme, reducedMotion: 'reduce' });
        await salon.goto(path);
        await settled(salon);
        if (size === 'desktop') {
          // As high as the page, so that what sticks to the window reaches its end.
          const height = await salon.evaluate(() => document.documentElement.scrollHeight);
          await salon.setViewportSize({ ...viewport, height });
        }
        await salon.screenshot({ path: `${FOLDER}${view}-${size}-${theme}.png` });
      });
    }
  }
}
