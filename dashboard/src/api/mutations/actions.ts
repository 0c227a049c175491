import { api, dataOf, type Schemas } from '../client';
import { sendOnce } from '../unanswered';

export type ContactType = Schemas['ActionRequest']['type'];
export type ContactRequest = Schemas['ActionRequest'];
export type BulkRequest = Omit<Schemas['BulkActionRequest'], 'dry_run' | 'include_booked'> & {
  include_booked?: boolean;
};
export type Action = Schemas['Action'];
export type BulkActions = Schemas['BulkActions'];
export type BulkCounts = Schemas['BulkCounts'];

/** What a request for one customer is kept as until it is answered. */
export const contactPurpose = (companyId: number, customerId: number, type: ContactType): string =>
  `action.${companyId}.${customerId}.${type}`;

export const bulkPurpose = (companyId: number): string => `bulk.${companyId}`;

/** Requests a call, an email or an offer for a customer, once even if it is sent again. */
export function requestAction(companyId: number, customerId: number, body: ContactRequest): Promise<Action> {
  return sendOnce(contactPurpose(companyId, customerId, body.type), body, (key) =>
    dataOf(
      api.POST('/api/v1/customers/{customer_id}/actions', {
        params: { path: { customer_id: customerId }, header: { 'Idempotency-Key': key } },
        body,
      }),
    ),
  );
}

/** Counts what a bulk action would do now. Changes nothing. */
export function countBulk(body: BulkRequest, signal: AbortSignal): Promise<BulkActions> {
  return dataOf(
    api.POST('/api/v1/actions/bulk', {
      params: { header: { 'Idempotency-Key': crypto.randomUUID() } },
      body: { include_booked: false, ...body, dry_run: true },
      signal,
    }),
  );
}

/** Requests an action for many customers, once even if it is sent again. */
export function requestBulk(companyId: number, body: BulkRequest): Promise<BulkActions> {
  return sendOnce(bulkPurpose(companyId), body, (key) =>
    dataOf(
      api.POST('/api/v1/actions/bulk', {
        params: { header: { 'Idempotency-Key': key } },
        body: { include_booked: false, ...body, dry_run: false },
      }),
    ),
  );
}

/** Delivers an action again that could not be delivered. */
export const retryAction = (actionId: string): Promise<Action> =>
  dataOf(api.POST('/api/v1/actions/{action_id}/retry', { params: { path: { action_id: actionId } } }));
