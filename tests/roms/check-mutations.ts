// Tries mutations in a copy of the repository: `npx tsx --conditions=@minusone/source tests/roms/check-mutations.ts [name ...]`. Prints those that their ROM does not notice.
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { mutations } from './mutations/index.ts';

/** Far more than a ROM takes, which gives up by itself: for a busy host. */
const LIMIT_MS = 600_000;
const root = fileURLToPath(new URL('../..', import.meta.url));
const names = process.argv.slice(2);
const copy = mkdtempSync(join(tmpdir(), 'mutations-'));
try {
  for (const item of ['packages', 'tests', 'package.json', 'tsconfig.base.json']) execFileSync('cp', ['-a', join(root, item), copy]);
  symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'));
  for (const [name, { file, find, replace }] of Object.entries(mutations)) {
    if (names.length > 0 && !names.includes(name)) continue;
    const path = join(copy, file);
    const original = readFileSync(path, 'utf8');
    if (original.split(find).length !== 2) {
      process.stdout.write(`${name}: '${find}' is not there once\n`);
      continue;
    }
    writeFileSync(
      path,
      original.replace(find, () => replace),
    );
    const { status, signal, stderr } = spawnSync(
      process.execPath,
      [
        '--import',
        join(root, 'node_modules/tsx/dist/loader.mjs'),
        '--conditions=@minusone/source',
        join(copy, 'tests/roms/check-one.ts'),
        name,
      ],
      { timeout: LIMIT_MS, encoding: 'utf8' },
    );
    const verdict = status === 3 ? 'noticed' : status === 0 ? 'NOT NOTICED' : signal !== null ? 'TIMED OUT' : `DOES NOT RUN: ${stderr}`;
    process.stdout.write(`${name}: ${verdict}\n`);
    writeFileSync(path, original);
  }
} finally {
  rmSync(copy, { recursive: true, force: true });
}
