// What the scripts and the tests of the monorepo itself need to know about it.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The root of the checkout. */
export const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));

/**
 * The packages under `packages/`, by folder name.
 *
 * @param {string} [root] the root of a checkout
 * @returns {{ folder: string, path: string, manifest: Record<string, any> }[]}
 */
export function workspacePackages(root = ROOT) {
  return readdirSync(join(root, 'packages'))
    .sort()
    .map((folder) => ({ folder, path: join(root, 'packages', folder) }))
    .filter(({ path }) => existsSync(join(path, 'package.json')))
    .map((entry) => ({ ...entry, manifest: JSON.parse(readFileSync(join(entry.path, 'package.json'), 'utf8')) }));
}

/**
 * The pinned package manager as npx takes it: `pnpm@10.34.8`. It is asked for by this name, so that nothing but npm need be installed.
 *
 * @returns {string}
 */
export function pinnedPnpm() {
  return JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')).packageManager.split('+')[0];
}

/**
 * Whether a file of a package only serves tests, and so is neither built nor published: `x.test.ts`, `test-machine.ts`, anything in a folder `testing`.
 * The packages' tsconfig.json and `files` say the same.
 *
 * @param {string} path
 * @returns {boolean}
 */
export function isTestFile(path) {
  return /\.test\.ts$|(^|[/\\])(test-[^/\\]*\.ts$|testing([/\\]|$))/.test(path);
}

/**
 * The first ```ts block of a README, or undefined where there is none.
 *
 * @param {string} markdown
 * @returns {string | undefined}
 */
export function readmeExample(markdown) {
  return /^```ts\n(.*?)^```$/ms.exec(markdown)?.[1];
}
