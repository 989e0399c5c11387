import { type Clock, ManualClock, type Timer } from '@minusone/core';

/** A machine's clock: the timers' queue over a source of time, and who hears that one was armed. */
export class MachineClock implements Clock {
  readonly #queue = new ManualClock();
  readonly #source: () => number;
  readonly #armed: (deadlineNs: number) => void;
  #latestNs = 0;
  #expiring = false;

  /**
   * @param source nanoseconds now; may step back between processors (each runs ahead of the others by a round): this clock then stands still
   * @param armed told of every deadline set
   */
  constructor(source: () => number, armed: (deadlineNs: number) => void) {
    this.#source = source;
    this.#armed = armed;
  }

  nowNs(): number {
    const now = this.#expiring ? this.#queue.nowNs() : this.#source();
    if (now > this.#latestNs) this.#latestNs = now;
    return this.#latestNs;
  }

  /** What the source says, though it may have stepped back. */
  sourceNs(): number {
    return this.#source();
  }
  /** Somebody has been told this time: the clock does not step back behind it. */
  seen(ns: number): void {
    if (ns > this.#latestNs) this.#latestNs = ns;
  }

  createTimer(expire: () => void): Timer {
    const timer = this.#queue.createTimer(expire);
    return {
      arm: (deadlineNs) => {
        timer.arm(deadlineNs);
        this.#armed(deadlineNs);
      },
      cancel: () => timer.cancel(),
      get deadlineNs() {
        return timer.deadlineNs;
      },
    };
  }

  /** The earliest deadline in nanoseconds, or Infinity. */
  get nextDeadlineNs(): number {
    return this.#queue.nextDeadlineNs;
  }

  /** Expires every timer due at `ns`. */
  expire(ns: number): void {
    if (this.#queue.nextDeadlineNs > ns) return;
    this.#expiring = true;
    try {
      this.#queue.advanceTo(ns);
    } finally {
      this.#expiring = false;
    }
  }
}
