import type { InterruptLine, Timer } from '@minusone/core';

/** A wire that leads nowhere: for a device whose interrupt a machine does not use. */
export const UNCONNECTED: InterruptLine = { set(): void {} };

/** Puts a timer back to a saved deadline; undefined disarms it. */
export function rearm(timer: Timer, deadlineNs: number | undefined): void {
  if (deadlineNs === undefined) timer.cancel();
  else timer.arm(deadlineNs);
}

/** A device's end of a wire: passes on changes only, so that a device may drive it at every access. */
export class OutputLine implements InterruptLine {
  readonly #wire: InterruptLine;
  #driven: boolean | undefined = false;

  constructor(wire: InterruptLine) {
    this.#wire = wire;
  }

  set(asserted: boolean): void {
    if (asserted === this.#driven) return;
    this.#driven = asserted;
    this.#wire.set(asserted);
  }

  /** After a restore nobody knows what the other end holds: the next `set` is passed on whatever it says. */
  forget(): void {
    this.#driven = undefined;
  }
}
