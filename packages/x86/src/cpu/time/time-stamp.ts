import type { Clock } from '@minusone/core';

/** Where a CPU's time-stamp counter comes from. */
export interface TimeStampSource {
  /** The machine's time in ticks of the TSC, before the CPU's own offset: an integer below 2^53. Exact at the instruction that asks. */
  ticks(): number;
  readonly hz: number;
}

/** A TSC that follows a clock. */
export function timeStampOf(clock: Clock, hz: number): TimeStampSource {
  return { hz, ticks: () => Math.floor(clock.nowNs() * (hz / 1e9)) };
}
