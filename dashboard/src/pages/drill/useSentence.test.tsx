import { cleanup } from '@testing-library/react';
import { afterEach, expect, test } from 'vitest';

import type { Figure } from '../../parts/drillTargets';
import { renderPart } from '../../parts/testing';
import type { Search } from './expected';
import { useSentence } from './useSentence';

afterEach(cleanup);

function Sentence({ figure, search }: { figure: Figure; search: Search }) {
  return useSentence()(figure, search);
}

const CASES: [Figure, Search, string, string][] = [
  ['total', {}, 'All customers', 'Alle Kunden'],
  ['stage', { stage: 'vip' }, 'In VIP Customer', 'In VIP Customer'],
  [
    'stage',
    { stage: 'vip', as_of: '2026-03-01T12:00:00Z' },
    'In VIP Customer on 1 Mar 2026',
    'In VIP Customer am 01.03.2026',
  ],
  [
    'funnel',
    { stage: 'regular' },
    'Reached Regular Customer or a later stage',
    'Erreichten Regular Customer oder eine höhere Stufe',
  ],
  [
    'funnel',
    { stage: 'regular', mode: 'cohort', outcome: 'dropped' },
    'Began in these days and did not go on from Regular Customer in time',
    'Haben in diesen Tagen begonnen und kamen von Regular Customer nicht rechtzeitig weiter',
  ],
  [
    'flow',
    { from_stage: 'vip', to_stage: 'at_risk' },
    'Moved from VIP Customer to At Risk',
    'Wechselten von VIP Customer nach At Risk',
  ],
  ['moved', { motion: 'lapse' }, 'Moved into a stage of risk', 'Kamen in eine Stufe mit Risiko'],
  [
    'action',
    { name: 'send_welcome_email', state: 'dead' },
    'Welcome email: Failed',
    'Willkommens-E-Mail: Gescheitert',
  ],
  ['visits', { stage: 'vip' }, 'Left VIP Customer', 'Verließen VIP Customer'],
  ['visits', { stage: 'vip', open: true }, 'Are in VIP Customer now', 'Sind jetzt in VIP Customer'],
  ['visits', { stage: 'gone' }, 'Left gone', 'Verließen gone'],
  ['risk', { band: 'critical' }, 'Critical risk', 'Risiko: Kritisch'],
  [
    'cohort',
    { cohort: '2026-01', month: 2 },
    'Began in Jan 2026 and had an appointment 2 months later',
    'Begannen im Jan. 2026 und hatten 2 Monate später einen Termin',
  ],
  [
    'cohort',
    { cohort: '2026-01', month: 1 },
    'Began in Jan 2026 and had an appointment 1 month later',
    'Begannen im Jan. 2026 und hatten 1 Monat später einen Termin',
  ],
  [
    'cohort',
    { cohort: '2026-01', month: 0 },
    'Began in Jan 2026 and had an appointment in the same month',
    'Begannen im Jan. 2026 und hatten im selben Monat einen Termin',
  ],
];

test.each(CASES)('%s %o is a sentence in both languages', async (figure, search, english, german) => {
  const first = await renderPart(<Sentence figure={figure} search={search} />);
  expect(first.container.textContent).toBe(english);
  cleanup();
  const second = await renderPart(<Sentence figure={figure} search={search} />, { language: 'de' });
  expect(second.container.textContent).toBe(german);
});
