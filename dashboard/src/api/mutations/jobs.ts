import { api, dataOf } from '../client';

/** Starts a job that computes the scores of all customers as of now. */
export const startRescore = () => dataOf(api.POST('/api/v1/admin/rescore', {}));
