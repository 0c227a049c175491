// Writes the types of the contract to src/api/schema.d.ts, unless they are newer than the contract.
import { stat, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import openapiTS, { astToString } from 'openapi-typescript';

const contract = new URL('../../openapi/openapi.json', import.meta.url);
const types = new URL('../src/api/schema.d.ts', import.meta.url);

const age = async (file) => (await stat(fileURLToPath(file)).catch(() => ({ mtimeMs: 0 }))).mtimeMs;

if ((await age(types)) < (await age(contract))) {
  await writeFile(types, astToString(await openapiTS(contract, { alphabetize: false })));
}
