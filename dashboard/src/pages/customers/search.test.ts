import { expect, test } from 'vitest';

import { customersQueryOf, filtersOf, readCustomersSearch } from './search';

test('an address is read as parameters of the API', () => {
  const search = readCustomersSearch({
    q: 4711,
    stage: 'vip,at_risk',
    risk_min: 0.5,
    pinned: false,
    consent_channel: 'email',
    consent_status: 'withdrawn',
    sort: '-risk_score',
    limit: 100,
    cursor: 'abc',
    page: 3,
  });
  expect(customersQueryOf(search)).toEqual({
    q: '4711',
    stage: ['vip', 'at_risk'],
    risk_min: 0.5,
    pinned: false,
    consent_channel: 'email',
    consent_status: 'withdrawn',
    sort: '-risk_score',
    limit: 100,
    cursor: 'abc',
  });
  expect(filtersOf(search)).not.toHaveProperty('cursor');
});

test.each([
  { stage: 'VIP!' },
  { risk_min: 2 },
  { risk_max: 'x' },
  { inactive_days_min: 0 },
  { owner: ' ' },
  { pinned: 'yes' },
  { consent_channel: 'email' },
  { consent_channel: 'pigeon', consent_status: 'granted' },
  { sort: 'password' },
  { limit: 5_000 },
  { page: 2 },
])('what makes no sense in an address is left out: %o', (search) => {
  expect(readCustomersSearch(search)).toEqual({});
  expect(customersQueryOf({})).toEqual({ sort: '-last_appointment_at', limit: 50 });
});

test('a page is at least the second one where there is a cursor', () => {
  expect(readCustomersSearch({ cursor: 'abc', page: -1 })).toEqual({ cursor: 'abc', page: 2 });
});
