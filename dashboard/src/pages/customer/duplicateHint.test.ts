import { expect, test } from 'vitest';

import type { DuplicateGroup } from '../../api/queries/duplicates';
import { suspectsOf } from './DuplicateHint';

const group = (reason: 'email' | 'phone', ...ids: number[]): DuplicateGroup => ({
  reason,
  value: reason,
  number: ids.length,
  customers: ids.map((id) => ({
    customer_id: id,
    name: `Customer ${id}`,
    current_stage: 'lead',
    stage_name: 'Lead',
  })),
});

test('each other customer is a suspect once, with what is shared', () => {
  const suspects = suspectsOf([group('email', 1, 2, 3), group('phone', 1, 3, 4)], 1);
  expect(suspects.map(({ customer_id: id, shared }) => [id, shared])).toEqual([
    [2, 'email'],
    [3, 'both'],
    [4, 'phone'],
  ]);
  expect(suspectsOf([], 1)).toEqual([]);
});
