/** Runs cases on the host's own processor: compiles native/*.c by gcc into the cache, feeds it, collects its results. */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import type { SiliconCase, SiliconResult } from './case.ts';
import { encodeBatches, ResultDecoder } from './format.ts';

export type { MemoryBytes, Selectors, SiliconCase, SiliconResult, SiliconStatus } from './case.ts';
export { WINDOW_BYTES, WINDOWS, windowContents } from './fill.ts';

const NATIVE = join(import.meta.dirname, 'native');
const CACHE = join(import.meta.dirname, '../../.cache/silicon');
/** `-z now`: FS belongs to the case, and lazy binding would use it. */
const GCC_FLAGS = ['-O2', '-Wall', '-Wextra', '-Werror', '-fno-stack-protector', '-Wl,-z,now'];

/** Why no case can be run here, or undefined where one can: an x86-64 Linux with gcc. */
export function siliconAvailable(): string | undefined {
  if (process.platform !== 'linux' || process.arch !== 'x64')
    return `the silicon harness needs x86-64 Linux; this is ${process.platform} on ${process.arch}`;
  if (spawnSync('gcc', ['--version']).status !== 0) return 'the silicon harness needs gcc';
  return undefined;
}

/** The compiled harness; compiled again only when its sources have changed. */
export function binary(): string {
  const names = readdirSync(NATIVE).sort();
  const hash = createHash('sha256').update(GCC_FLAGS.join(' '));
  for (const name of names) hash.update(readFileSync(join(NATIVE, name)));
  const path = join(CACHE, `silicon-${hash.digest('hex').slice(0, 16)}`);
  if (!existsSync(path)) {
    mkdirSync(CACHE, { recursive: true });
    const made = `${path}.${process.pid}`; // test files compile at the same time: the last one wins, whole
    execFileSync('gcc', [...GCC_FLAGS, '-o', made, ...names.filter((name) => name.endsWith('.c')).map((name) => join(NATIVE, name))]);
    renameSync(made, path);
  }
  return path;
}

/**
 * Runs cases on this machine's processor, one after the other, and returns what each left, in the order of the cases.
 * Tens of thousands of cases a second (measure.ts). Calls may overlap: each has a process of its own.
 *
 * @throws {RangeError} a case is malformed
 * @throws {Error} the harness could not be compiled, or failed; says why
 * @example
 * const [result] = await runOnSilicon([{ code: Uint8Array.of(0x48, 0xff, 0xc0) }]); // inc rax
 * console.log(result.regs[0]); // 1n
 */
export async function runOnSilicon(cases: readonly SiliconCase[]): Promise<SiliconResult[]> {
  const child = spawn(binary(), { stdio: ['pipe', 'pipe', 'pipe'] });
  const decoder = new ResultDecoder(cases);
  let complaint = '';
  child.stdout.on('data', (chunk: Buffer) => decoder.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => (complaint += chunk));
  child.stdin.on('error', () => {}); // it has ended early, and `close` tells how
  const closed = once(child, 'close') as Promise<[status: number | null, signal: string | null]>;
  try {
    for (const batch of encodeBatches(cases)) if (!child.stdin.write(batch)) await Promise.race([once(child.stdin, 'drain'), closed]);
  } finally {
    child.stdin.end();
  }
  const [status, signal] = await closed;
  if (status !== 0) throw new Error(`the silicon harness ended with ${status ?? signal}: ${complaint}`);
  return decoder.results;
}
