import type { InterruptLine, Timer } from '@minusone/core';

/** A wire that leads nowhere: for a device whose interrupt a machine does not use. */
export const UNCONNECTED: InterruptLine = { set(): void {} };

/** Puts a timer back to a saved deadline; undefined disarms it. */
export function rearm(timer: Timer, deadlineNs: number | undefined): void {
  if (deadlineNs === undefined) timer.cancel();
  else timer.arm(deadlineNs);
}
