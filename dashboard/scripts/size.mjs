// Fails if the built dashboard is larger than size-limit.json allows. Sizes are those of gzip; fonts are compressed.
import { readFile, readdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

const built = new URL('../../src/journey_service/dashboard/', import.meta.url);
const read = async (url) => JSON.parse(await readFile(fileURLToPath(url), 'utf-8'));
const manifest = await read(new URL('manifest.json', built));
const limits = await read(new URL('../size-limit.json', import.meta.url));

/** The chunks that a browser loads before a chunk can run, itself included. */
function closure(name, found = new Set()) {
  if (found.has(name)) return found;
  found.add(name);
  for (const next of manifest[name].imports ?? []) closure(next, found);
  return found;
}

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
const shell = closure('index.html');
const entry = new Set([...shell, ...closure(limits.entry.route)]);
const results = [
  ['JavaScript of the entry route', await bytes(scripts(entry)), limits.entry.kB],
  ['Style sheets of the entry route', await bytes(styles(entry)), limits.styles.kB],
];
const fonts = (await readdir(new URL('assets/', built))).filter((name) =>
  name.startsWith(limits.font.pattern),
);
results.push(['Font of the first paint', await bytes(fonts.map((name) => `assets/${name}`)), limits.font.kB]);
for (const [name, chunk] of Object.entries(manifest)) {
  if (!chunk.isDynamicEntry || name === limits.entry.route) continue;
  const own = [...closure(name)].filter((each) => !entry.has(each));
  results.push([`${name} beyond it`, await bytes(scripts(own)), limits.route.kB]);
}
let failed = false;
for (const [what, size, limit] of results) {
  const isOver = size > limit * 1000;
  failed ||= isOver;
  process.stdout.write(
    `${isOver ? 'OVER ' : 'ok   '}${(size / 1000).toFixed(1).padStart(7)} of ${limit} kB  ${what}\n`,
  );
}
process.exitCode = failed ? 1 : 0;
