import { ProblemError } from '../../api/problems';

const PAGE = 200;

/** Reads a list as CSV, page by page, and returns it as one file with one header line. */
export async function readCsv(
  path: string,
  search: Record<string, string | number | boolean>,
  onProgress: (rows: number) => void,
): Promise<string> {
  let cursor: string | null = null;
  let header = '';
  const lines: string[] = [];
  do {
    const parameters = new URLSearchParams({ limit: String(PAGE) });
    for (const [name, value] of Object.entries(search)) parameters.set(name, String(value));
    if (cursor !== null) parameters.set('cursor', cursor);
    const response: Response = await fetch(`${path}.csv?${parameters.toString()}`);
    if (!response.ok) {
      throw new ProblemError(response.status, {}, response.headers.get('x-request-id'), null);
    }
    const text = await response.text();
    const end = text.indexOf('\r\n') + 2;
    header = text.slice(0, end);
    lines.push(text.slice(end));
    cursor = response.headers.get('x-next-cursor');
    onProgress(lines.join('').split('\r\n').length - 1);
  } while (cursor !== null);
  return header + lines.join('');
}

/** Offers a text as a file. */
export function download(name: string, text: string): void {
  const address = URL.createObjectURL(new Blob([text], { type: 'text/csv' }));
  const link = document.createElement('a');
  link.href = address;
  link.download = name;
  link.click();
  URL.revokeObjectURL(address);
}
