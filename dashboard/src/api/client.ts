import createClient, { type Middleware } from 'openapi-fetch';

import { ProblemError } from './problems';
import type { components, paths } from './schema';
import { signedIn } from './signedOut';

export type Schemas = components['schemas'];

/**
 * Throws an error for every unsuccessful response. If the session has ended, a read waits until the user has signed in
 * again, and is then repeated.
 */
const problems: Middleware = {
  async onResponse({ request, response: first }) {
    let response = first;
    while (response.status === 401) {
      const next = signedIn();
      if (request.method !== 'GET') break;
      await next;
      response = await fetch(new Request(request));
    }
    if (response.ok) return response;
    const retryAfter = Number(response.headers.get('retry-after') ?? Number.NaN);
    throw new ProblemError(
      response.status,
      (await response.json().catch(() => ({}))) as Partial<Schemas['Problem']>,
      response.headers.get('x-request-id'),
      Number.isNaN(retryAfter) ? null : retryAfter,
    );
  },
};

export const api = createClient<paths>({ baseUrl: location.origin });
api.use(problems);

/** Returns the data of an answer; failures have been thrown by then. */
export async function dataOf<T>(answer: Promise<{ data?: T }>): Promise<T> {
  const { data } = await answer;
  if (data === undefined) throw new Error('The answer is empty.');
  return data;
}
