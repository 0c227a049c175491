import type { ContactType } from '../../api/mutations/actions';

/** What an address says of a bulk action: the job whose progress is shown, and what it does. */
export type BulkSearch = { job?: number; of?: ContactType };

/** Reads the parameters of an address; what makes no sense is left out. */
export function readBulkSearch({ job, of }: Record<string, unknown>): BulkSearch {
  const type = (['call', 'email', 'offer'] as const).find((each) => each === of);
  const isId = typeof job === 'number' && Number.isInteger(job) && job > 0;
  return { ...(isId ? { job } : {}), ...(type === undefined ? {} : { of: type }) };
}
