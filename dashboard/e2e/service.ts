/** Starts the real service with its demo for the tests, and stops it after them. */
import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const JOURNEY = fileURLToPath(new URL('../../.venv/bin/journey', import.meta.url));
const START_MS = 240_000;
const KEY = /Demo company (\d+), .*: (jrn_\S+)/g;
const LINK = /(http\S+\/sign-in\/link\/\S+)/g;

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function isReady(url: string): Promise<boolean> {
  try {
    return (await fetch(`${url}/readyz`, { signal: AbortSignal.timeout(5_000) })).ok;
  } catch {
    return false;
  }
}

/** Waits until the service answers requests: its log says that it has started before it listens. */
async function waitUntilReady(url: string, output: () => string, child: ChildProcess): Promise<void> {
  const deadline = Date.now() + START_MS;
  while (!(output().includes('Application startup complete') && (await isReady(url)))) {
    if (child.exitCode !== null || Date.now() > deadline)
      throw new Error(`The service did not start:\n${output()}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

export type Running = {
  url: string;
  output: string;
  operator: string;
  kill: (signal: NodeJS.Signals) => Promise<void>;
};

/** Starts the service on a folder; the operator's key is the same after a restart if it is given. */
export async function startJourney(
  folder: string,
  { args = [], port, operator }: { args?: string[]; port?: number; operator?: string } = {},
): Promise<Running> {
  const chosen = port ?? (await freePort());
  const url = `http://127.0.0.1:${chosen}`;
  const key = operator ?? `jrn_e2e_${randomBytes(24).toString('hex')}`;
  const child = spawn(JOURNEY, ['up', ...args, '--port', String(chosen), '--data-dir', folder], {
    env: {
      ...process.env,
      JOURNEY_BOOTSTRAP_KEY: key,
      // Many pages use one key at the same time.
      JOURNEY_KEY_REQUEST_LIMIT: '10000',
      JOURNEY_COMPANY_REQUEST_LIMIT: '10000',
      // On a busy machine, requests wait longer than a user would.
      JOURNEY_POOL_TIMEOUT: '30',
      JOURNEY_STATEMENT_TIMEOUT: '60',
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (text: Buffer) => {
      output += text.toString();
    });
  }
  const kill = async (signal: NodeJS.Signals) => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const isStopped = new Promise((resolve) => child.once('exit', resolve));
    child.kill(signal);
    await isStopped;
  };
  try {
    await waitUntilReady(url, () => output, child);
  } catch (error) {
    await kill('SIGTERM');
    throw error;
  }
  return { url, output, operator: key, kill };
}

export default async function startService(): Promise<() => Promise<void>> {
  // JOURNEY_E2E_DATA keeps the data, so that a second run need not create the demo again.
  const kept = process.env.JOURNEY_E2E_DATA;
  const folder = kept ?? (await mkdtemp(join(tmpdir(), 'journey-e2e-')));
  const { url, output, operator, kill } = await startJourney(folder, { args: ['--demo'] });
  const keys = Object.fromEntries([...output.matchAll(KEY)].map(([, id = '', key]) => [id, key]));
  const links = [...output.matchAll(LINK)].map(([, link]) => link);
  process.env.JOURNEY_E2E = JSON.stringify({ url, keys, links, operator, folder });
  return async () => {
    await kill('SIGTERM');
    if (kept === undefined) await rm(folder, { recursive: true, force: true });
  };
}
