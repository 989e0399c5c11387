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
}

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
  const compiled = await boot({ ...options, cpus: 1, clock: 'virtual', jit: { threshold: 1, lockstep: true } });
  const interpreted = await boot({ ...options, cpus: 1, clock: 'virtual', jit: false });
  const a = compiled.processors as unknown as OneCpu;
  const b = interpreted.processors as unknown as OneCpu;
  const runInterpreted = b.run.bind(b);
  // The second machine's own loop sleeps.
  interpreted.processors.run = () => ({ reason: 'idle', deadlineNs: undefined });
  const [cpu, follower] = [a.cpus[0] as Cpu, b.cpus[0] as Cpu];
  const lockstep = new Lockstep(new LockstepSide(cpu.memory, cpu.state), new LockstepSide(follower.memory, follower.state));
  const space: CodeSpace = (cpu.engine as CpuEngine).space;
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
  };
}

function finish(machine: Machine): void {
  machine.stop();
  machine.processors.stop();
}
