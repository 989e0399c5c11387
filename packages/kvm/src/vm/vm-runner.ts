import { type MachineClock, Rounds, type RoundsResult, type TimeStampSource, timeStampOf } from '@minusone/x86';
import { VcpuBusyError } from '../errors.ts';
import type { VcpuExit } from '../exits/vcpu-exit.ts';
import type { VcpuCore } from '../vcpu/core.ts';
import { SLICE_INSTRUCTIONS, Sleeper, Turns } from '../vcpu/run-async.ts';

/** How a VM's time goes on. */
export interface VmTimeOptions {
  /** `virtual`: the VM's time is a function of instructions executed. `host`: wall time. @default 'virtual' */
  readonly clock?: 'virtual' | 'host';
  /** Monotonic nanoseconds of the host; only for the host clock. By default `performance.now()`. */
  readonly hostNowNs?: () => number;
  /** Speed of virtual time; by default 1e9: an instruction a nanosecond. */
  readonly instructionsPerSecond?: number;
}

/** Why a run of all came back. */
type RunResult = RoundsResult<VcpuCore, VcpuExit>;

/** Lets the virtual CPUs of a VM run on one thread: all in turns, or one of them; never twice at once. */
export class VmRunner {
  readonly #rounds: Rounds<VcpuCore, VcpuExit>;
  readonly #sleeper = new Sleeper();
  /** @throws {VmDestroyedError} the VM is gone */
  readonly alive: () => void;
  #isRunning = false;

  constructor(options: VmTimeOptions, alive: () => void) {
    const { clock = 'virtual', hostNowNs, instructionsPerSecond } = options;
    this.#rounds = new Rounds<VcpuCore, VcpuExit>({ clock, hostNowNs, instructionsPerSecond }, (core, instructions) =>
      core.run(instructions),
    );
    this.alive = alive;
  }

  get clock(): MachineClock {
    return this.#rounds.clock;
  }
  /** How often all that ran have been waiting. */
  get idleCount(): number {
    return this.#rounds.idleCount;
  }
  /** The host's time-stamp counter, at so many ticks a second of this clock. */
  timeStamp(hz: number): TimeStampSource {
    return timeStampOf(this.clock, hz, this.#rounds.isVirtual ? this.#rounds.nsPerInstruction : 0);
  }

  add(core: VcpuCore): void {
    this.#rounds.add(core);
  }
  /** @throws {VcpuBusyError} the VM runs */
  removeAll(cores: Iterable<VcpuCore>): void {
    if (this.#isRunning) throw new VcpuBusyError(this.#rounds.current?.id ?? 0);
    for (const core of cores) {
      core.out();
      this.#rounds.remove(core);
    }
  }

  /** Runs all in turns. @throws {VcpuBusyError} one of them runs */
  runAll(instructions: number): RunResult {
    return this.#locked(undefined, () => this.#rounds.run(instructions));
  }

  /** Runs one while the others sleep. @throws {VcpuBusyError} one of them runs */
  runOne(core: VcpuCore, instructions: number): RunResult {
    return this.#locked(core, () => {
      if (core.wasIdle && !core.isRunnable) this.#rounds.skipToDeadline();
      const result = this.#rounds.run(instructions, core);
      core.wasIdle = result.reason === 'idle';
      return result;
    });
  }

  #locked<T>(core: VcpuCore | undefined, run: () => T): T {
    this.alive();
    if (this.#isRunning) throw new VcpuBusyError((core ?? this.#rounds.current)?.id ?? 0);
    this.#isRunning = true;
    try {
      return run();
    } finally {
      this.#isRunning = false;
    }
  }

  /**
   * Runs in slices until there is a result that is not the end of a slice, yielding to the event loop every few milliseconds, and sleeping where all wait. Aborting by `signal` gives
   * `stopped`.
   * @param instructions in all
   * @param slice runs at most so many, and says how many it has used
   */
  async inSlices(
    instructions: number,
    signal: AbortSignal | undefined,
    slice: (instructions: number) => { readonly result: RunResult; readonly used: number },
  ): Promise<RunResult> {
    const turns = new Turns();
    for (let left = instructions; ; ) {
      if (signal?.aborted) return { reason: 'stopped' };
      const { result, used } = slice(Math.min(left, SLICE_INSTRUCTIONS));
      left -= Math.max(1, used);
      if (result.reason === 'idle') await this.#sleep(result.deadlineNs, signal);
      else if (result.reason !== 'budget' || left <= 0) return result;
      else await turns.next();
    }
  }

  /** Sleeps until a deadline of the host's clock, or until `wake`. Virtual time needs no sleep. */
  async #sleep(deadlineNs: number | undefined, signal: AbortSignal | undefined): Promise<void> {
    if (deadlineNs !== undefined && this.#rounds.isVirtual) return;
    await this.#sleeper.sleep(deadlineNs === undefined ? undefined : (deadlineNs - this.clock.nowNs()) / 1e6, signal);
  }
  /** Somebody may have something to do now who waited. */
  wake(): void {
    this.#sleeper.wake();
  }
  /** The run under way comes back after its instruction. */
  stop(): void {
    this.#rounds.stop();
  }
}
