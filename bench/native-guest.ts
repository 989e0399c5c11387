import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestCpu } from '../packages/x86/src/engine/test-machine.ts';

const FLAGS =
  '-O2 -fno-tree-vectorize -fno-tree-loop-distribute-patterns -mno-sse -fcf-protection=none -fno-stack-protector -fno-asynchronous-unwind-tables -nostdlib -static -fno-pie -no-pie -Wl,-Ttext=0x100000 -Wl,--build-id=none -Wl,-e,run';
const directory = mkdtempSync(join(tmpdir(), 'minusone-bench-'));

/** Compiles `guests/<name>.c` with the host's gcc: an ELF file for address 0x100000. */
export function compileGuest(name: string): Buffer {
  const elf = join(directory, name);
  execFileSync('gcc', [...FLAGS.split(' '), '-o', elf, new URL(`guests/${name}.c`, import.meta.url).pathname]);
  return readFileSync(elf);
}

/** Copies an ELF64 file's segments to their addresses, and returns its entry. */
export function loadElf(cpu: TestCpu, elf: Buffer): bigint {
  const headers = Number(elf.readBigUInt64LE(32));
  for (let n = 0; n < elf.readUInt16LE(56); n++) {
    const at = headers + n * 56;
    if (elf.readUInt32LE(at) !== 1) continue;
    const from = Number(elf.readBigUInt64LE(at + 8));
    cpu.load(elf.subarray(from, from + Number(elf.readBigUInt64LE(at + 32))), Number(elf.readBigUInt64LE(at + 16)));
  }
  return elf.readBigUInt64LE(24);
}
