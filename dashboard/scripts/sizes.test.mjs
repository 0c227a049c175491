import { expect, test } from 'vitest';

import { additions, entryChunks, isOver } from './sizes.mjs';

const ROUTE = 'src/pages/overview/OverviewPage.tsx';
const PAGE = 'src/pages/customer/CustomerPage.tsx';
const DIALOG = 'src/pages/customer/MoveDialog.tsx';
const MANIFEST = {
  'index.html': { imports: ['vendor'] },
  vendor: {},
  controls: {},
  calendar: {},
  [ROUTE]: { isDynamicEntry: true, imports: ['vendor'] },
  [PAGE]: { isDynamicEntry: true, imports: ['vendor', 'controls'] },
  [DIALOG]: { isDynamicEntry: true, imports: ['controls', 'calendar'] },
};
const chunksOf = (manifest) =>
  Object.fromEntries(additions(manifest, ROUTE).map(({ name, chunks }) => [name, chunks]));

test('a page adds to the entry, a dialog to its page', () => {
  expect([...entryChunks(MANIFEST, ROUTE)]).toEqual(['index.html', 'vendor', ROUTE]);
  expect(chunksOf(MANIFEST)).toEqual({ [PAGE]: [PAGE, 'controls'], [DIALOG]: [DIALOG, 'calendar'] });
});

test('negative control: what a page no longer loads is counted for its dialog', () => {
  const without = { ...MANIFEST, [PAGE]: { isDynamicEntry: true, imports: ['vendor'] } };

  expect(chunksOf(without)[DIALOG]).toEqual([DIALOG, 'controls', 'calendar']);
});

test('a size is over its limit from the first byte beyond', () => {
  expect(isOver(120_000, 120)).toBe(false);
  expect(isOver(120_001, 120)).toBe(true);
});
