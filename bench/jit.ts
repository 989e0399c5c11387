import type { JitOptions } from '../packages/x86/src/engine/jit/region-cache.ts';
import { TestCpu } from '../packages/x86/src/engine/test-machine.ts';
import { compileGuest, loadElf } from './native-guest.ts';
import { median } from './statistics.ts';

/**
 * The region JIT against the interpreter on two guests compiled by the host's gcc: millions of instructions a second and their ratio, medians of five
 * runs each, taken in turns in one process.
 *
 *     npx tsx --conditions=@minusone/source bench/jit.ts
 */
const RUNS = 6;

/** Runs one stretch, and returns its rate. */
function measure(cpu: TestCpu, budget: number): number {
  const start = performance.now();
  const { instructions, exit } = cpu.run(budget);
  if (exit !== 1) throw new Error(`The guest ended with exit ${exit}.`);
  return instructions / (performance.now() - start) / 1000;
}
const show = (rates: readonly number[]): string =>
  `${median(rates).toFixed(1)} (${Math.min(...rates).toFixed(1)} to ${Math.max(...rates).toFixed(1)})`;

for (const [guest, argument] of [
  ['loops', 1000n],
  ['fib', 60n],
] as const) {
  const elf = compileGuest(guest);
  const machine = (jit?: JitOptions): TestCpu => {
    const cpu = new TestCpu({ bits: 64, ramBytes: 16 * 2 ** 20, ...(jit === undefined ? {} : { jit }) });
    cpu.rip = loadElf(cpu, elf);
    return cpu.setGpr(7, argument).setGpr(4, 0x80_0000n);
  };
  const interpreted = machine();
  const compiled = machine({});
  const rates: [number[], number[]] = [[], []];
  for (let run = 0; run < RUNS; run++) {
    const slow = measure(interpreted, 40_000_000);
    const fast = measure(compiled, 400_000_000);
    if (run === 0) continue;
    rates[0].push(slow);
    rates[1].push(fast);
  }
  const { regionsCompiled, instructions, instructionsInRegions } = compiled.engine.statistics;
  console.log(
    `${guest}: interpreter ${show(rates[0])}, JIT ${show(rates[1])} million instructions/s: ${(median(rates[1]) / median(rates[0])).toFixed(1)} times`,
  );
  console.log(`  ${regionsCompiled} regions; ${((instructionsInRegions / instructions) * 100).toFixed(2)} % of instructions in them`);
}
