import { isRetried, ProblemError, retryDelay } from '../api/problems';

const PAGE = 200;
type Value = string | number | boolean;
/** Parameters of a list; a parameter with several values is repeated. */
export type CsvSearch = Record<string, Value | readonly Value[]>;

/**
 * Reads a list as CSV, page by page, and returns it as one file with one header line.
 *
 * A list may get a column while it is read, such as one of a new attribute: then it is read from the beginning.
 */
export async function readCsv(
  path: string,
  search: CsvSearch,
  onProgress: (rows: number) => void,
  signal: AbortSignal,
): Promise<Blob> {
  let cursor: string | null = null;
  let rows = 0;
  let header = '';
  let parts: string[] = [];
  for (;;) {
    const response: Response = await readPage(`${path}.csv?${parametersOf(search, cursor)}`, signal);
    const text = await response.text();
    const end = text.indexOf('\r\n') + 2;
    if (parts.length > 0 && text.slice(0, end) !== header) {
      [cursor, rows, parts] = [null, 0, []];
      continue;
    }
    header = text.slice(0, end);
    parts.push(parts.length === 0 ? text : text.slice(end));
    rows += recordsOf(text.slice(end));
    cursor = response.headers.get('x-next-cursor');
    onProgress(rows);
    if (cursor === null) return new Blob(parts, { type: 'text/csv' });
  }
}

function parametersOf(search: CsvSearch, cursor: string | null): string {
  const parameters = new URLSearchParams({ limit: String(PAGE) });
  for (const [name, value] of Object.entries(search)) {
    for (const each of [value].flat()) parameters.append(name, String(each));
  }
  if (cursor !== null) parameters.set('cursor', cursor);
  return parameters.toString();
}

/** Reads a page; waits and tries again where the service asks for it. */
async function readPage(address: string, signal: AbortSignal): Promise<Response> {
  for (let failures = 0; ; failures += 1) {
    const response = await fetch(address, { signal });
    if (response.ok) return response;
    const retryAfter = Number(response.headers.get('retry-after') ?? Number.NaN);
    const error = new ProblemError(
      response.status,
      (await response.json().catch(() => ({}))) as ProblemError['problem'],
      response.headers.get('x-request-id'),
      Number.isNaN(retryAfter) ? null : retryAfter,
    );
    if (!isRetried(failures, error)) throw error;
    await new Promise((resolve) => {
      setTimeout(resolve, retryDelay(failures, error));
    });
    signal.throwIfAborted();
  }
}

/** Counts the records of a CSV text; a line break within quotes ends none. */
export function recordsOf(text: string): number {
  const unquoted = text.replaceAll(/"[^"]*"/g, '');
  return unquoted.split('\r\n').length - 1;
}

/** Offers a file. */
export function download(name: string, file: Blob): void {
  const address = URL.createObjectURL(file);
  const link = document.createElement('a');
  link.href = address;
  link.download = name;
  link.click();
  URL.revokeObjectURL(address);
}
