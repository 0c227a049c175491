import type { components } from './schema';

type Problem = components['schemas']['Problem'];

/** An answer of the service that is a problem (RFC 9457), or one that is none at all. */
export class ProblemError extends Error {
  override name = 'ProblemError';

  constructor(
    readonly status: number,
    readonly problem: Partial<Problem>,
    readonly requestId: string | null,
    readonly retryAfter: number | null,
  ) {
    super(problem.detail ?? problem.title ?? `HTTP ${status}`);
  }

  /** The last part of the type: `forbidden`, `invalid-input`. */
  get code(): string {
    return this.problem.type?.split('/').at(-1) ?? '';
  }

  /** The scope that a refused credential lacks, as the service names it. */
  get missingScope(): string | null {
    return this.status === 403 ? (/'([a-z*:]+)'/.exec(this.message)?.[1] ?? null) : null;
  }
}

const RETRIED = new Set([429, 503]);
const MAX_RETRIES = 3;

/** Repeats what may succeed soon: a service that is busy or being restarted. */
export function isRetried(failures: number, error: Error): boolean {
  if (failures >= MAX_RETRIES) return false;
  return error instanceof ProblemError ? RETRIED.has(error.status) : true;
}

/** Milliseconds before the next attempt: what the service asks for, or else longer each time. */
export function retryDelay(failures: number, error: Error): number {
  if (error instanceof ProblemError && error.retryAfter !== null) return error.retryAfter * 1_000;
  return Math.min(1_000 * 2 ** failures, 10_000);
}
