import { spawnSync } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { asm16 } from '@minusone/asm';
import { median } from './statistics.ts';

/**
 * From process start to the first guest instruction: the command line runs a guest of one instruction (a write to the debug-exit port), against `node -e 0`.
 *
 *     npx tsx --conditions=@minusone/source bench/start-up.ts
 */
const CLI = fileURLToPath(new URL('../packages/minusone/dist/main.js', import.meta.url));
const RUNS = 15;
const image = join(mkdtempSync(join(tmpdir(), 'minusone-bench-')), 'exit.bin');
writeFileSync(
  image,
  asm16`
  out 0xf4, al
  hlt`,
);

function milliseconds(args: readonly string[]): number {
  const start = performance.now();
  spawnSync(process.execPath, args, { stdio: 'ignore' });
  return performance.now() - start;
}

const bare: number[] = [];
const ours: number[] = [];
for (let run = 0; run < RUNS; run++) {
  bare.push(milliseconds(['-e', '0']));
  ours.push(milliseconds([CLI, 'run', '--accel', 'none', '--memory', '16M', '--flat', `${image}@0x8000`]));
}
console.log(
  `start-up: ${median(ours).toFixed(0)} ms (${Math.min(...ours).toFixed(0)} to ${Math.max(...ours).toFixed(0)}) from process start through the first guest instruction to exit; node alone ${median(bare).toFixed(0)} ms`,
);
