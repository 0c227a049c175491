import { expect, test } from 'vitest';

import { expectedOf } from './expected';

const FLOWS = { items: [{ from_stage: 'vip', to_stage: 'at_risk', moves: 5, customers: 4 }] };
const STAGES = { items: [{ stage_key: 'vip', customers: 9, visits: 3, open_count: 2 }] };

const COHORT = { items: [{ stage_key: 'lead', customers: 9, converted: 6, pending: 1, dropped: 2 }] };

test.each([
  ['total', {}, { total_customers: 341 }, { customers: 341, events: null }],
  ['stage', { stage: 'vip' }, STAGES, { customers: 9, events: null }],
  ['stage', { stage: 'lead' }, STAGES, { customers: 0, events: null }],
  ['funnel', { stage: 'lead', mode: 'cohort' }, COHORT, { customers: 9, events: null }],
  ['funnel', { stage: 'lead', mode: 'cohort', outcome: 'dropped' }, COHORT, { customers: 2, events: null }],
  ['flow', { from_stage: 'vip', to_stage: 'at_risk' }, FLOWS, { customers: 4, events: 5 }],
  ['moved', { motion: 'opening' }, { new_customers: 7, moves: 90 }, { customers: 7, events: null }],
  ['moved', { motion: 'lapse' }, { lapses: 3, moves: 90 }, { customers: null, events: 3 }],
  ['moved', {}, { moves: 90 }, { customers: null, events: 90 }],
  [
    'action',
    { name: 'call', state: 'dead' },
    { items: [{ name: 'call', dead: 2 }] },
    { customers: null, events: 2 },
  ],
  ['visits', { stage: 'vip' }, STAGES, { customers: null, events: 3 }],
  ['visits', { stage: 'vip', open: true }, STAGES, { customers: null, events: 2 }],
  ['risk', { band: 'high' }, { items: [{ band: 'high', customers: 6 }] }, { customers: 6, events: null }],
  [
    'cohort',
    { cohort: '2026-01', month: 2 },
    { items: [{ cohort: '2026-01', month: 2, customers: 8 }] },
    { customers: 8, events: null },
  ],
] as const)('the number of %s %o is found in its report', (figure, search, report, expected) => {
  expect(expectedOf(figure, search, report)).toEqual(expected);
});
