/**
 * `node bundle.ts guide.md`: builds the components that the guide prints, unchanged, with the libraries that they
 * import, into printed/guide.js. That script draws one of them, chosen by the query of the page.
 */
import { execFileSync } from 'node:child_process';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import react from '@vitejs/plugin-react';
import { build, type Plugin } from 'vite';

const HERE = fileURLToPath(new URL('.', import.meta.url));
const PRINTED = join(HERE, 'printed');
const [guide = ''] = process.argv.slice(2);
const COMPONENT = /```javascript\n(\/\/ (\w+)\.jsx\n.*?)```/gs;

/** Components see a React whose states begin with loaded data; they have no exports as printed. */
const asPrinted: Plugin = {
  name: 'as-printed',
  enforce: 'pre',
  resolveId: (source, importer) =>
    source === 'react' && importer?.startsWith(PRINTED) === true ? join(HERE, 'state.js') : null,
  transform: (code, id) => {
    const name = id.startsWith(PRINTED) ? /(\w+)\.jsx$/.exec(id)?.[1] : undefined;
    return name === undefined ? null : `${code}\nexport { ${name} };\n`;
  },
};

execFileSync('npm', ['ci', '--silent'], { cwd: HERE });
await mkdir(PRINTED, { recursive: true });
for (const [, code = '', name = ''] of (await readFile(guide, 'utf8')).matchAll(COMPONENT))
  await writeFile(join(PRINTED, `${name}.jsx`), code);
await build({
  configFile: false,
  root: HERE,
  logLevel: 'error',
  plugins: [asPrinted, react()],
  build: {
    outDir: PRINTED,
    emptyOutDir: false,
    minify: false,
    target: 'es2023',
    reportCompressedSize: false,
    rollupOptions: {
      input: join(HERE, 'page.jsx'),
      output: { codeSplitting: false, entryFileNames: 'guide.js' },
    },
  },
});
