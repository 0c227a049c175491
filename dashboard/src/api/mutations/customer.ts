import { api, dataOf, type Schemas } from '../client';
import type { Customer } from '../queries/customer';
import { sendOnce } from '../unanswered';

export type Move = Schemas['TransitionCreate'];
export type Channel = keyof Customer['consents'];
export type Consent = Schemas['ConsentStatus'];
type Written = Pick<Schemas['JourneyUpdate'], 'notes' | 'owner'>;

const path = (id: number) => ({ customer_id: id });
const ifMatch = (version: number) => ({ 'If-Match': `"${version}"` });

/** Moves a customer by hand, once even if it is sent again. `version` is that of the journey the person saw. */
export function moveCustomer(companyId: number, id: number, version: number, body: Move) {
  return sendOnce(`move.${companyId}.${id}`, { version, ...body }, (key) =>
    dataOf(
      api.POST('/api/v1/customers/{customer_id}/transitions', {
        params: { path: path(id), header: { ...ifMatch(version), 'Idempotency-Key': key } },
        body,
      }),
    ),
  );
}

export const pinCustomer = (id: number, version: number, until: string) =>
  dataOf(
    api.PUT('/api/v1/customers/{customer_id}/pin', {
      params: { path: path(id), header: ifMatch(version) },
      body: { pin_until: until },
    }),
  );

export const unpinCustomer = (id: number, version: number) =>
  dataOf(
    api.DELETE('/api/v1/customers/{customer_id}/pin', {
      params: { path: path(id), header: ifMatch(version) },
    }),
  );

export const evaluateCustomer = (id: number) =>
  dataOf(api.POST('/api/v1/customers/{customer_id}/evaluate', { params: { path: path(id) } }));

export const writeJourney = (id: number, version: number, body: Written) =>
  dataOf(
    api.PATCH('/api/v1/customers/{customer_id}/journey', {
      params: { path: path(id), header: ifMatch(version) },
      body,
    }),
  );

/** Changes one consent, and nothing else of the profile. */
export const setConsent = (id: number, channel: Channel, status: Consent) =>
  dataOf(
    api.PATCH('/api/v1/customers/{customer_id}', {
      params: { path: path(id) },
      body: { consents: { [channel]: status } },
    }),
  );

export const eraseCustomer = (id: number) =>
  dataOf(api.POST('/api/v1/customers/{customer_id}/anonymize', { params: { path: path(id) } }));

/** Reads everything that is stored about a customer, as the text of a file. */
export const exportCustomer = (id: number): Promise<string> =>
  dataOf(api.GET('/api/v1/customers/{customer_id}/export', { params: { path: path(id) }, parseAs: 'text' }));

export const cancelCampaign = (campaignId: number) =>
  dataOf(
    api.POST('/api/v1/campaigns/{campaign_id}/cancel', { params: { path: { campaign_id: campaignId } } }),
  );

/** Ends a task for good. `version` is that of the task the person saw. */
export const closeTask = (taskId: number, version: number, status: 'done' | 'dismissed', outcome: string) =>
  dataOf(
    api.PATCH('/api/v1/tasks/{task_id}', {
      params: { path: { task_id: taskId }, header: ifMatch(version) },
      body: { status, ...(outcome === '' ? {} : { outcome }) },
    }),
  );
