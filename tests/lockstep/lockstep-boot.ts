import { type BootOptions, boot, type Machine } from '@minusone/vmm';
import type { Cpu } from '../../packages/x86/src/cpu/cpu.ts';
import type { CpuEngine } from '../../packages/x86/src/engine/cpu-engine.ts';
import type { CodeSpace } from '../../packages/x86/src/engine/interpreter/code-space.ts';
import { Lockstep, LockstepSide } from '../../packages/x86/src/engine/jit/lockstep.ts';

export interface LockstepBootResult {
  readonly instructions: number;
  /** Instructions that regions executed. */
  readonly instructionsInRegions: number;
  /** How often the two machines were compared: wherever a region was left. */
  readonly comparisons: number;
  readonly regionsCompiled: number;
  /** External interrupts delivered. */
  readonly interrupts: number;
}

/** Instructions that the first machine runs at a time. The same every time, where a machine's own loop goes by wall time: slices decide at which instructions regions are left. */
const SLICE = 100_000;

interface OneCpu {
  readonly cpus: readonly Cpu[];
  readonly clock: { nowNs(): number };
  run(instructions: number): unknown;
}

/**
 * Boots a guest on two machines of one CPU, one on the JIT with a hotness threshold of 1, one on the interpreter. Wherever a region is left, the second machine runs up to the
 * same instant, and both are compared: registers, flags, and all memory written meanwhile.
 *
 * @param instructions ends after so many
 * @throws {LockstepDifferenceError} at the first difference
 */
export async function bootInLockstep(options: BootOptions, instructions: number): Promise<LockstepBootResult> {
  const interpreted = await boot({ ...options, cpus: 1, clock: 'virtual', jit: false });
  const b = interpreted.processors as unknown as OneCpu;
  const runInterpreted = b.run.bind(b);
  // The second machine's own loop sleeps.
  interpreted.processors.run = () => ({ reason: 'idle', deadlineNs: undefined });
  // From here to `ended` nothing waits: the first machine has not begun.
  const compiled = await boot({ ...options, cpus: 1, clock: 'virtual', jit: { threshold: 1, lockstep: true } });
  const a = compiled.processors as unknown as OneCpu;
  const runCompiled = compiled.processors.run.bind(compiled.processors);
  compiled.processors.run = () => runCompiled(SLICE);
  const [cpu, follower] = [a.cpus[0] as Cpu, b.cpus[0] as Cpu];
  const sideOf = (one: Cpu): LockstepSide => new LockstepSide(one.memory, one.state, () => one.interruptShadow);
  const lockstep = new Lockstep(sideOf(cpu), sideOf(follower));
  const space: CodeSpace = (cpu.engine as CpuEngine).space;
  const interrupts = countInterrupts(cpu);
  let failure: unknown;
  if (space.regions === undefined) throw new Error('The machine has no JIT.');
  space.regions.onRegionExit = () => {
    if (failure !== undefined) return;
    try {
      const behind = a.clock.nowNs() - b.clock.nowNs();
      if (behind > 0) runInterpreted(behind);
      lockstep.compare(() => lockstep.place(cpu.instructions));
      if (cpu.instructions >= instructions) finish(compiled);
    } catch (error) {
      failure = error;
      finish(compiled);
    }
  };
  await compiled.ended;
  finish(interpreted);
  await interpreted.ended;
  if (failure !== undefined) throw failure;
  const { statistics } = cpu.engine;
  return {
    instructions: cpu.instructions,
    instructionsInRegions: statistics.instructionsInRegions,
    comparisons: lockstep.comparisons,
    regionsCompiled: statistics.regionsCompiled,
    interrupts: interrupts(),
  };
}

/** @returns how many external interrupts have been acknowledged since */
function countInterrupts(cpu: Cpu): () => number {
  const source = cpu.interruptSource ?? cpu.apic;
  let count = 0;
  cpu.interruptSource = {
    acknowledge: () => {
      count++;
      return source?.acknowledge() ?? 0xff;
    },
  };
  return () => count;
}

function finish(machine: Machine): void {
  machine.stop();
  machine.processors.stop();
}
