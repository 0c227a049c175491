/**
 * Measures each page with the demo: `npm run measure` prints a table. The largest contentful paint (LCP) of a first visit
 * and of a repeat visit, on a desktop and on a phone with a slow connection and processor, each the median of several
 * runs; and the JavaScript that the browser loads for the page.
 */
import type { Browser, Page } from '@playwright/test';

import { settled, signIn, SALON, test, waitForModel, type Service } from './fixtures';

const RUNS = Number(process.env.MEASURE_RUNS ?? 3);
const VISITS_MS = 1_800_000;

const PATHS = {
  Overview: '/',
  Today: '/today',
  Customers: '/customers',
  'Possible duplicates': '/customers/duplicates',
  Customer: '/customers/297',
  'At risk': '/at-risk',
  Predictions: '/calibration',
  List: '/drill/stage?stage=at_risk',
};
const DEVICES = {
  desktop: { viewport: { width: 1440, height: 900 }, isSlow: false },
  phone: { viewport: { width: 390, height: 844 }, isSlow: true },
};
type Visit = { lcp: number; scriptBytes: number };
type Device = (typeof DEVICES)[keyof typeof DEVICES];

/** A slow 4G connection and a processor with a quarter of the speed. */
async function slowDown(page: Page): Promise<void> {
  const session = await page.context().newCDPSession(page);
  const perSecond = 1024 / 8;
  await session.send('Network.enable');
  await session.send('Network.emulateNetworkConditions', {
    offline: false,
    latency: 150,
    downloadThroughput: 1_600 * perSecond,
    uploadThroughput: 750 * perSecond,
  });
  await session.send('Emulation.setCPUThrottlingRate', { rate: 4 });
}

async function visit(page: Page, url: string): Promise<Visit> {
  await page.goto(url);
  await settled(page);
  return page.evaluate(async () => {
    const lcp = await new Promise<number>((resolve) => {
      new PerformanceObserver((list) => resolve(list.getEntries().at(-1)?.startTime ?? 0)).observe({
        type: 'largest-contentful-paint',
        buffered: true,
      });
    });
    const entries = performance.getEntriesByType('resource') as PerformanceResourceTiming[];
    const scripts = entries.filter(({ name }) => name.endsWith('.js'));
    const scriptBytes = scripts.reduce((sum, entry) => sum + entry.encodedBodySize, 0);
    return { lcp, scriptBytes };
  });
}

/** A first visit with an empty cache, and a repeat visit of the same browser. */
async function visits(browser: Browser, service: Service, device: Device, path: string) {
  const context = await browser.newContext({ viewport: device.viewport, reducedMotion: 'reduce' });
  await signIn(context, service, SALON);
  const both: Visit[] = [];
  for (let count = 0; count < 2; count += 1) {
    const page = await context.newPage();
    if (device.isSlow) await slowDown(page);
    both.push(await visit(page, service.url + path));
    await page.close();
  }
  await context.close();
  return both as [Visit, Visit];
}

const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
const seconds = (milliseconds: number): string => (milliseconds / 1_000).toFixed(2);

test('measure', async ({ browser, service, api }) => {
  test.setTimeout(VISITS_MS);
  await waitForModel(api);
  const lines = [
    '| page | JavaScript, kB | desktop, first | desktop, repeat | phone, first | phone, repeat |',
    '|---|---|---|---|---|---|',
  ];
  for (const [name, path] of Object.entries(PATHS)) {
    const cells: string[] = [];
    let scriptBytes = 0;
    for (const device of Object.values(DEVICES)) {
      const found = [];
      for (let run = 0; run < RUNS; run += 1) found.push(await visits(browser, service, device, path));
      scriptBytes = Math.max(scriptBytes, ...found.map(([first]) => first.scriptBytes));
      cells.push(seconds(median(found.map(([first]) => first.lcp))));
      cells.push(seconds(median(found.map(([, repeat]) => repeat.lcp))));
    }
    lines.push(`| ${name} | ${(scriptBytes / 1_000).toFixed(0)} | ${cells.join(' | ')} |`);
  }
  process.stdout.write(`${lines.join('\n')}\n`);
});
