import type { Clock } from '@minusone/core';

/** Where a CPU's time-stamp counter comes from. */
export interface TimeStampSource {
  /** The machine's time in ticks of the TSC, before the CPU's own offset: an integer below 2^53. Exact at the instruction that asks. */
  ticks(): number;
  readonly hz: number;
  /**
   * How many ticks go by with each instruction that the CPU executes, where time is just that (and an integer); 0: only `ticks` knows. Compiled code then reads the counter by
   * itself.
   */
  readonly ticksPerInstruction: number;
}

/**
 * A TSC that follows a clock.
 * @param nsPerInstruction what an instruction takes, where nothing else moves the clock while a CPU runs; otherwise 0
 */
export function timeStampOf(clock: Clock, hz: number, nsPerInstruction = 0): TimeStampSource {
  const perNs = hz / 1e9;
  const isExact = Number.isInteger(perNs) && Number.isInteger(nsPerInstruction);
  return { hz, ticks: () => Math.floor(clock.nowNs() * perNs), ticksPerInstruction: isExact ? perNs * nsPerInstruction : 0 };
}
