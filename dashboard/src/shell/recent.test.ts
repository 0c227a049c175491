import { expect, test } from 'vitest';

import { customerOf, forgetCustomers, recentCustomers, rememberCustomer } from './recent';

test('the last customers come first, each once, and only their ids are kept', () => {
  for (const id of [1, 2, 3, 2, 4, 5, 6, 7]) rememberCustomer(1, id);
  expect(recentCustomers(1)).toEqual([7, 6, 5, 4, 2, 3]);
  expect(recentCustomers(2)).toEqual([]);
  expect(sessionStorage.getItem('journey.recent.1')).toBe('[7,6,5,4,2,3]');
  forgetCustomers();
  expect(recentCustomers(1)).toEqual([]);
});

test('what somebody else stored does no harm', () => {
  sessionStorage.setItem('journey.recent.3', '["<b>", 4, {}]');
  sessionStorage.setItem('journey.recent.4', 'no json');
  expect([recentCustomers(3), recentCustomers(4)]).toEqual([[4], []]);
});

test.each([
  ['/customers/4711', 4711],
  ['/customers/-9007199254740991', -9_007_199_254_740_991],
  ['/customers', null],
  ['/customers/new', null],
  ['/customers/99999999999999999', null],
])('the customer of %s is %s', (path, id) => {
  expect(customerOf(path)).toBe(id);
});
