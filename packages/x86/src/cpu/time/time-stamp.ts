import type { MachineClock } from './machine-clock.ts';

/** Where a CPU's time-stamp counter comes from. */
export interface TimeStampSource {
  /** The machine's time in ticks of the TSC, before the CPU's own offset: an integer below 2^53. Exact at the instruction that asks; it never steps back. */
  ticks(): number;
  readonly hz: number;
  /**
   * How many ticks go by with each instruction that the CPU executes, where time is just that (and an integer); 0: only `ticks` knows. Compiled code then reads the counter by
   * itself, from what the next two are for.
   */
  readonly ticksPerInstruction: number;
  /** The time of the CPU that runs, which may be behind what another one has seen. */
  ownTicks(): number;
  /** Compiled code has read this. */
  seen(ticks: number): void;
  /** Makes a timer of the machine's clock, disarmed. */
  createTimer(expire: () => void): TickTimer;
}

/** A one-shot timer whose deadline is in ticks of a TSC. */
export interface TickTimer {
  /** @param ticks as of `TimeStampSource.ticks` */
  arm(ticks: number): void;
  cancel(): void;
}

/**
 * A TSC that follows a machine's clock.
 * @param nsPerInstruction what an instruction takes, where nothing else moves the clock while a CPU runs; otherwise 0
 */
export function timeStampOf(clock: MachineClock, hz: number, nsPerInstruction: number): TimeStampSource {
  const perNs = hz / 1e9;
  const isExact = Number.isInteger(perNs) && Number.isInteger(nsPerInstruction);
  return {
    hz,
    ticks: () => Math.floor(clock.nowNs() * perNs),
    ticksPerInstruction: isExact ? perNs * nsPerInstruction : 0,
    ownTicks: () => Math.floor(clock.sourceNs() * perNs),
    seen: (ticks) => clock.seen(ticks / perNs),
    createTimer(expire) {
      const timer = clock.createTimer(expire);
      return { arm: (ticks) => timer.arm(Math.ceil(ticks / perNs)), cancel: () => timer.cancel() };
    },
  };
}
