/**
 * Requests whose answer has not arrived. They are kept, with their Idempotency-Key, until the service has answered: a
 * connection that fails does not tell whether a request was carried out, and the same key carries it out once only.
 */
import { ProblemError } from './problems';

export type Unanswered<Body> = { key: string; body: Body };

const PREFIX = 'journey.unanswered.';
/** Problems after which a request may have been carried out, or may be sent again as it is. */
const UNDECIDED = new Set([401, 408, 429]);

/** Returns the request for a purpose that was sent and not answered, also before the page was loaded again. */
export function unansweredOf<Body>(purpose: string): Unanswered<Body> | null {
  try {
    return JSON.parse(sessionStorage.getItem(PREFIX + purpose) ?? 'null') as Unanswered<Body> | null;
  } catch {
    return null;
  }
}

/** Forgets the request for a purpose: the person has decided not to send it again. */
export function forgetUnanswered(purpose: string): void {
  sessionStorage.removeItem(PREFIX + purpose);
}

/** Sends a request under a key that is the same until there is an answer. */
export async function sendOnce<Answer>(
  purpose: string,
  body: object,
  send: (key: string) => Promise<Answer>,
): Promise<Answer> {
  try {
    const answer = await send(keep(purpose, body));
    forgetUnanswered(purpose);
    return answer;
  } catch (error) {
    if (isAnswer(error)) forgetUnanswered(purpose);
    throw error;
  }
}

/** Whether an error is an answer of the service that settles the request. */
export function isAnswer(error: unknown): boolean {
  return error instanceof ProblemError && error.status < 500 && !UNDECIDED.has(error.status);
}

function keep(purpose: string, body: object): string {
  const earlier = unansweredOf<object>(purpose);
  if (earlier !== null && JSON.stringify(earlier.body) === JSON.stringify(body)) return earlier.key;
  const key = crypto.randomUUID();
  try {
    sessionStorage.setItem(PREFIX + purpose, JSON.stringify({ key, body }));
  } catch {
    // A browser that stores nothing sends a request once, and not again under the same key.
  }
  return key;
}
