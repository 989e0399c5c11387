import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { TestCpu } from '../packages/x86/src/engine/test-machine.ts';

/**
 * The interpreter on two guests compiled by the host's gcc: millions of instructions a second, median and spread of five runs.
 *
 *     npx tsx --conditions=@minusone/source bench/interpreter.ts
 */
const FLAGS =
  '-O2 -fno-tree-vectorize -fno-tree-loop-distribute-patterns -mno-sse -fcf-protection=none -fno-stack-protector -fno-asynchronous-unwind-tables -nostdlib -static -fno-pie -no-pie -Wl,-Ttext=0x100000 -Wl,--build-id=none -Wl,-e,run';
const BUDGET = 60_000_000;

function loadElf(cpu: TestCpu, elf: Buffer): bigint {
  const headers = Number(elf.readBigUInt64LE(32));
  for (let n = 0; n < elf.readUInt16LE(56); n++) {
    const at = headers + n * 56;
    if (elf.readUInt32LE(at) !== 1) continue;
    const from = Number(elf.readBigUInt64LE(at + 8));
    cpu.load(elf.subarray(from, from + Number(elf.readBigUInt64LE(at + 32))), Number(elf.readBigUInt64LE(at + 16)));
  }
  return elf.readBigUInt64LE(24);
}

const directory = mkdtempSync(join(tmpdir(), 'minusone-bench-'));
for (const [guest, argument] of [
  ['loops', 1000n],
  ['fib', 60n],
] as const) {
  const elf = join(directory, guest);
  execFileSync('gcc', [...FLAGS.split(' '), '-o', elf, new URL(`guests/${guest}.c`, import.meta.url).pathname]);
  const cpu = new TestCpu({ bits: 64, ramBytes: 16 * 2 ** 20 });
  cpu.rip = loadElf(cpu, readFileSync(elf));
  cpu.setGpr(7, argument).setGpr(4, 0x80_0000n);
  const rates: number[] = [];
  for (let run = 0; run < 6; run++) {
    const start = performance.now();
    const { instructions, exit } = cpu.run(BUDGET);
    if (exit !== 1) throw new Error(`${guest} ended with exit ${exit}.`);
    if (run > 0) rates.push(instructions / (performance.now() - start) / 1000);
  }
  rates.sort((a, b) => a - b);
  console.log(`${guest}: ${rates[2]?.toFixed(1)} million instructions/s (${rates[0]?.toFixed(1)} to ${rates[4]?.toFixed(1)})`);
}
