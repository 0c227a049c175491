import { api, type Schemas } from '../client';
import { ProblemError } from '../problems';

/** Returns the id of the customer that another one was merged into before; null if that is not why it was refused. */
export function mergedInto(error: unknown): number | null {
  if (!(error instanceof ProblemError) || error.code !== 'customer-merged') return null;
  return (error.problem as unknown as Schemas['CustomerMergedProblem']).merged_into;
}

/**
 * Merges a customer into another one for good. `version` is the ETag of the preview. If the answer of an earlier attempt
 * was lost, the merge is found to be done.
 */
export async function mergeCustomers(survivor: number, merged: number, version: string): Promise<void> {
  try {
    await api.POST('/api/v1/customers/{customer_id}/merge', {
      params: { path: { customer_id: survivor }, header: { 'If-Match': version } },
      body: { merge: merged },
    });
  } catch (error) {
    if (mergedInto(error) !== survivor) throw error;
  }
}
