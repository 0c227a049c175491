// Writes .br and .gz beside every asset that compression makes smaller.
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';

const folder = fileURLToPath(new URL('../../src/journey_service/dashboard/assets/', import.meta.url));
const COMPRESSED = /\.(br|gz|woff2)$/;

for (const name of await readdir(folder)) {
  if (COMPRESSED.test(name)) continue;
  const body = await readFile(folder + name);
  const brotli = brotliCompressSync(body, {
    params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: body.length },
  });
  const gzip = gzipSync(body, { level: 9 });
  if (brotli.length < body.length) await writeFile(`${folder + name}.br`, brotli);
  if (gzip.length < body.length) await writeFile(`${folder + name}.gz`, gzip);
}
