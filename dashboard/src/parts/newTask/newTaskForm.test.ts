import { expect, test } from 'vitest';

import { emptyForm, formOf, requestOf } from './newTaskForm';

const BERLIN = 'Europe/Berlin';

test.each([
  { now: '2026-03-10T09:20:00Z', timezone: BERLIN, day: '2026-03-10', time: '12:00' },
  { now: '2026-03-10T09:20:00Z', timezone: 'Asia/Kolkata', day: '2026-03-10', time: '16:30' },
  { now: '2026-03-10T17:10:00Z', timezone: BERLIN, day: '2026-03-11', time: '09:00' },
  { now: '2026-03-10T23:10:00Z', timezone: BERLIN, day: '2026-03-11', time: '09:00' },
])(
  'a new task is due at a full hour of the day, an hour from now at least: $now',
  ({ now, timezone, ...due }) => {
    expect(emptyForm(new Date(now), timezone)).toMatchObject(due);
  },
);

test('a form becomes a request, and a request the form again', () => {
  const form = { title: ' Call back ', day: '2026-03-30', time: '14:00', assignee: 'Mara', note: '' };
  const request = {
    title: 'Call back',
    customer_id: 7,
    due_at: '2026-03-30T12:00:00.000Z',
    assignee: 'Mara',
    note: null,
  };

  expect(requestOf(form, 7, BERLIN)).toEqual(request);
  expect(formOf(request, BERLIN)).toEqual({ ...form, title: 'Call back' });
});

test.each([{ title: '  ' }, { day: null }, { time: '' }])(
  'without a title, a day or a time there is no request: %o',
  (missing) => {
    const form = { title: 'Call', day: '2026-03-30', time: '14:00', assignee: '', note: '', ...missing };

    expect(requestOf(form, null, BERLIN)).toBeNull();
  },
);
