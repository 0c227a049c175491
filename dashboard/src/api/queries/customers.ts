import { queryOptions } from '@tanstack/react-query';

import { api, dataOf, type Schemas } from '../client';
import type { operations } from '../schema';

export type Customer = Schemas['Customer'];
export type CustomersQuery = NonNullable<operations['list_customers']['parameters']['query']>;

const HALF_A_MINUTE = 30_000;
const FOUND = 8;

export const customersQuery = (query: CustomersQuery) =>
  queryOptions({
    queryKey: ['customers', 'list', query],
    queryFn: ({ signal }) => dataOf(api.GET('/api/v1/customers', { params: { query }, signal })),
    staleTime: HALF_A_MINUTE,
  });

/** The number of all customers, with one of them. */
export const customerCountQuery = () => customersQuery({ limit: 1, count: true });

/** The first customers whose name, address, phone number or id has the words. */
export const findCustomersQuery = (q: string) => customersQuery({ q, limit: FOUND });

/** Customers by their ids; those that are gone are left out. */
export const customersByIdQuery = (ids: readonly number[]) =>
  customersQuery({ ids: [...ids], limit: Math.max(ids.length, 1) });
