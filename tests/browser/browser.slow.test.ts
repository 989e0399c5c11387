import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';
import { type Browser, chromium } from 'playwright-core';
import { afterAll, describe, expect, test } from 'vitest';
import { ROOT } from '../../scripts/workspace.mjs';

const CHROMIUM = '/usr/bin/chromium';
const FLAGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** An example as one script for browsers. esbuild refuses what only Node has. */
async function bundle(example: string): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [join(ROOT, 'examples', example, 'index.ts')],
    bundle: true,
    write: false,
    format: 'esm',
    platform: 'browser',
    target: 'es2023',
    conditions: ['@minusone/source'],
    logLevel: 'silent',
  });
  return (outputFiles[0] as { text: string }).text;
}

test.each(['first-machine', 'kvm-both-vendors', 'vtx-hypervisor', 'amdv-hypervisor', 'explain-entry'])(
  '%s is bundled without anything that only Node has',
  async (example) => {
    const script = await bundle(example);
    expect(script).not.toMatch(/\bfrom\s*["']node:|\brequire\(/);
  },
);

describe.skipIf(!existsSync(CHROMIUM))(`in ${CHROMIUM}`, () => {
  let browser: Browser | undefined;
  afterAll(() => browser?.close());

  test.each([
    ['first-machine', /^Hello from ring minus one!\n81 instructions\n$/],
    ['mmio-device', /^alarm at 25 degrees\n$/],
    ['kvm-hello', /^Hello from ring minus one!\n$/],
    ['kvm-both-vendors', /^kvm_intel: out 10 51.*\n.*"IO_INSTRUCTION":3.*\nkvm_amd: out 10 51.*\n.*"IOIO":3.*\n$/],
    ['ept-violation', /\nEPT_VIOLATION at 1007\n/],
    ['page-tables', /= physical 0x8000, in a page of 2 MBytes/],
  ])('%s prints on the page what it prints in Node', { timeout: 120_000 }, async (example, expected) => {
    browser ??= await chromium.launch({ executablePath: CHROMIUM, args: FLAGS });
    const page = await browser.newPage();
    const errors: string[] = [];
    page.on('pageerror', (error) => errors.push(String(error)));
    const script = `const out = document.querySelector('pre');
      console.log = (text) => { out.textContent += text + '\\n'; };
      ${await bundle(example)}
      document.body.dataset.done = 'yes';`;
    await page.setContent(`<pre></pre><script type="module">${script.replaceAll('</script', '<\\/script')}</script>`);
    await page.waitForSelector('body[data-done]', { timeout: 60_000 }).catch(() => {});
    expect(errors).toEqual([]);
    expect(await page.textContent('pre')).toMatch(expected);
    await page.close();
  });
});
