// Fails if the built dashboard is larger than size-limit.json allows. Sizes are those of gzip; fonts are compressed.
import { readFile, readdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

import { additions, entryChunks, isOver } from './sizes.mjs';

const built = new URL('../../src/journey_service/dashboard/', import.meta.url);
const read = async (url) => JSON.parse(await readFile(fileURLToPath(url), 'utf-8'));
const manifest = await read(new URL('manifest.json', built));
const limits = await read(new URL('../size-limit.json', import.meta.url));

async function bytes(files) {
  let total = 0;
  for (const file of files) {
    const path = fileURLToPath(new URL(file, built));
    const body = await readFile(`${path}.gz`).catch(() => readFile(path));
    total += body.length;
  }
  return total;
}

const scripts = (names) => [...names].map((name) => manifest[name].file);
const styles = (names) => [...names].flatMap((name) => manifest[name].css ?? []);
const entry = entryChunks(manifest, limits.entry.route);
const results = [
  ['JavaScript of the entry route', await bytes(scripts(entry)), limits.entry.kB],
  ['Style sheets of the entry route', await bytes(styles(entry)), limits.styles.kB],
];
const fonts = (await readdir(new URL('assets/', built))).filter((name) =>
  name.startsWith(limits.font.pattern),
);
results.push(['Font of the first paint', await bytes(fonts.map((name) => `assets/${name}`)), limits.font.kB]);
for (const { name, chunks, beyond } of additions(manifest, limits.entry.route))
  results.push([`${name} beyond ${beyond}`, await bytes(scripts(chunks)), limits.route.kB]);
let failed = false;
for (const [what, size, limit] of results) {
  const isTooLarge = isOver(size, limit);
  failed ||= isTooLarge;
  process.stdout.write(
    `${isTooLarge ? 'OVER ' : 'ok   '}${(size / 1000).toFixed(1).padStart(7)} of ${limit} kB  ${what}\n`,
  );
}
process.exitCode = failed ? 1 : 0;
