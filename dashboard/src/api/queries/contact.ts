import { queryOptions } from '@tanstack/react-query';

import { api, dataOf } from '../client';

/** The profile of a customer, for the number to call and the address to write to. */
export const contactQuery = (customerId: number) =>
  queryOptions({
    queryKey: ['customers', 'contact', customerId],
    queryFn: ({ signal }) =>
      dataOf(
        api.GET('/api/v1/customers/{customer_id}', { params: { path: { customer_id: customerId } }, signal }),
      ),
  });
