import { expect, test } from 'vitest';

import { bulkFilter, readRiskSearch, riskQuery } from './riskSearch';

test('an address is read as filter, order and page; what makes no sense is left out', () => {
  expect(
    readRiskSearch({
      q: 4711,
      stage: 'at_risk',
      owner: '',
      days: 90,
      value: -5,
      sort: '-days_inactive',
      job: 'x',
    }),
  ).toEqual({ q: '4711', stage: 'at_risk', days: 90, sort: '-days_inactive' });
  expect(readRiskSearch({ sort: '-expected_loss' })).toEqual({ sort: '-expected_loss' });
  expect(readRiskSearch({ sort: 'name', cursor: 'abc', page: 3 })).toEqual({ cursor: 'abc', page: 3 });
});

test('the list and a bulk action take the same filter', () => {
  const search = readRiskSearch({
    q: 'a',
    stage: 'at_risk',
    owner: 'Mara',
    days: 60,
    value: 500,
    cursor: 'abc',
  });
  const { sort, cursor, ...filter } = riskQuery(search);

  expect({ sort, cursor }).toEqual({ sort: '-risk_score', cursor: 'abc' });
  expect(filter).toEqual({ q: 'a', stage: ['at_risk'], owner: 'Mara', days_min: 60, value_min: 500 });
  expect(bulkFilter(search)).toEqual(filter);
});
