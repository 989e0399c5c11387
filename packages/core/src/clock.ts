/**
 * Time as devices see it. A machine has one clock; whether it follows the instructions executed (`virtual`) or the
 * host (`host`) is the machine's business.
 */
export interface Clock {
  /** Nanoseconds since the machine was made, never decreasing. Exact at the instruction that asks. */
  nowNs(): number;
  /** Makes a timer that calls `expire` at its deadline; made disarmed. */
  createTimer(expire: () => void): Timer;
}

/** A one-shot timer of a `Clock`. Arming an armed timer moves its deadline. */
export interface Timer {
  /** @param deadlineNs absolute time in nanoseconds; a deadline in the past expires at the next instruction boundary */
  arm(deadlineNs: number): void;
  cancel(): void;
  /** The deadline while armed, otherwise undefined. */
  readonly deadlineNs: number | undefined;
}

/** A `Clock` that is moved by hand: for device tests, and the queue inside a machine's clock. Timers expire in order of deadline, then of arming. */
export class ManualClock implements Clock {
  #nowNs = 0;
  #sequence = 0;
  readonly #armed: QueuedTimer[] = [];

  nowNs(): number {
    return this.#nowNs;
  }

  createTimer(expire: () => void): Timer {
    return new QueuedTimer(this.#armed, expire, () => ++this.#sequence);
  }

  /** The earliest deadline in nanoseconds, or Infinity when no timer is armed. */
  get nextDeadlineNs(): number {
    return this.#armed[0]?.deadlineNs ?? Number.POSITIVE_INFINITY;
  }

  /** Moves time forward to `ns` and expires, in order, every timer due by then. Each sees `nowNs()` at its own deadline. */
  advanceTo(ns: number): void {
    for (let first = this.#armed[0]; first?.deadlineNs !== undefined && first.deadlineNs <= ns; first = this.#armed[0]) {
      this.#nowNs = Math.max(this.#nowNs, first.deadlineNs);
      first.expireNow();
    }
    this.#nowNs = Math.max(this.#nowNs, ns);
  }
}

class QueuedTimer implements Timer {
  readonly #queue: QueuedTimer[];
  readonly #expire: () => void;
  readonly #nextSequence: () => number;
  #deadlineNs: number | undefined;
  #order = 0;

  constructor(queue: QueuedTimer[], expire: () => void, nextSequence: () => number) {
    this.#queue = queue;
    this.#expire = expire;
    this.#nextSequence = nextSequence;
  }

  get deadlineNs(): number | undefined {
    return this.#deadlineNs;
  }

  arm(deadlineNs: number): void {
    this.cancel();
    this.#deadlineNs = deadlineNs;
    this.#order = this.#nextSequence();
    const at = this.#queue.findIndex((other) => other.#isAfter(this));
    this.#queue.splice(at < 0 ? this.#queue.length : at, 0, this);
  }

  cancel(): void {
    if (this.#deadlineNs === undefined) return;
    this.#queue.splice(this.#queue.indexOf(this), 1);
    this.#deadlineNs = undefined;
  }

  expireNow(): void {
    this.cancel();
    this.#expire();
  }

  #isAfter(other: QueuedTimer): boolean {
    const mine = this.#deadlineNs ?? 0;
    const theirs = other.#deadlineNs ?? 0;
    return mine > theirs || (mine === theirs && this.#order > other.#order);
  }
}
