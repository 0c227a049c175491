/** Pictures of the documentation, from the demo: `npm run screenshots`. Look at them. */
import { fileURLToPath } from 'node:url';

import { settled, test, waitForModel } from './fixtures';

const FOLDER = fileURLToPath(new URL('../../docs/screens/', import.meta.url));
const SIZES = { desktop: { width: 1440, height: 1000 }, phone: { width: 390, height: 844 } };

const PAGES = {
  overview: '/?period=year',
  today: '/today',
  customers: '/customers',
  customer: '/customers/297',
  'at-risk': '/at-risk',
  calibration: '/calibration',
  drill: '/drill/stage?stage=at_risk',
};

for (const [name, place, size, viewport] of Object.entries(PAGES).flatMap(([page, path]) =>
  Object.entries(SIZES).map(([each, pixels]) => [page, path, each, pixels] as const),
)) {
  for (const theme of ['light', 'dark'] as const) {
    test(`${name}-${size}-${theme}`, async ({ salon, api }) => {
      await waitForModel(api);
      await salon.setViewportSize(viewport);
      await salon.emulateMedia({ colorScheme: theme, reducedMotion: 'reduce' });
      await salon.goto(place);
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
