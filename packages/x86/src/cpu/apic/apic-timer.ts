import type { Clock, Timer } from '@minusone/core';
import type { TimeStamp } from './local-apic.ts';
import { Lvt, TimerMode } from './registers.ts';

export interface ApicTimerState {
  /** Bits 18:17 of the LVT entry. */
  readonly mode: number;
  readonly divide: number;
  readonly initial: number;
  readonly startNs: number;
  /** Of the clock's timer; undefined: not counting. */
  readonly endNs: number | undefined;
  /** IA32_TSC_DEADLINE. */
  readonly deadline: bigint;
}

/** The local APIC's timer (SDM Vol. 3A, 10.5.4): one-shot, periodic or TSC-deadline. Its own clock runs at 1 GHz, before the divider: a tick is a nanosecond. */
export class ApicTimer {
  readonly #clock: Clock;
  readonly #timer: Timer;
  readonly #timeStamp: TimeStamp;
  readonly #fire: () => void;
  #mode: number = TimerMode.ONE_SHOT;
  #divide = 0;
  #initial = 0;
  /** When the count under way began, in ns. */
  #startNs = 0;
  /** IA32_TSC_DEADLINE; 0: disarmed. */
  #deadline = 0n;

  constructor(clock: Clock, timeStamp: TimeStamp, fire: () => void) {
    this.#clock = clock;
    this.#timeStamp = timeStamp;
    this.#fire = fire;
    this.#timer = clock.createTimer(() => this.#expired());
  }

  reset(): void {
    this.#timer.cancel();
    this.#mode = TimerMode.ONE_SHOT;
    this.#divide = 0;
    this.#initial = 0;
    this.#deadline = 0n;
  }

  /** The LVT timer register was written. A change to or from TSC-deadline mode disarms (10.5.4.1). */
  setLvt(lvt: number): void {
    const mode = (lvt >>> Lvt.TIMER_MODE_SHIFT) & 3;
    if (mode !== this.#mode && (mode === TimerMode.TSC_DEADLINE || this.#mode === TimerMode.TSC_DEADLINE)) {
      this.#timer.cancel();
      this.#deadline = 0n;
      this.#initial = 0;
    }
    this.#mode = mode;
  }

  /** Nanoseconds of one count. */
  get #tickNs(): number {
    const code = (this.#divide & 3) | ((this.#divide >>> 1) & 4);
    return code === 7 ? 1 : 2 << code;
  }

  get divide(): number {
    return this.#divide;
  }
  set divide(value: number) {
    const current = this.current;
    this.#divide = value & 0xb;
    if (this.#timer.deadlineNs !== undefined && this.#mode !== TimerMode.TSC_DEADLINE) this.#startCount(current);
  }

  get initial(): number {
    return this.#initial;
  }
  set initial(value: number) {
    // 10.5.4.1: in TSC-deadline mode writes to the initial count are ignored.
    if (this.#mode === TimerMode.TSC_DEADLINE) return;
    this.#initial = value >>> 0;
    if (this.#initial === 0) this.#timer.cancel();
    else this.#startCount(this.#initial);
  }

  /** The current count; 0 in TSC-deadline mode. */
  get current(): number {
    const end = this.#timer.deadlineNs;
    if (end === undefined || this.#mode === TimerMode.TSC_DEADLINE) return 0;
    return Math.max(0, Math.ceil((end - this.#clock.nowNs()) / this.#tickNs));
  }

  #startCount(count: number): void {
    this.#startNs = this.#clock.nowNs();
    this.#timer.arm(this.#startNs + count * this.#tickNs);
  }

  get deadline(): bigint {
    return this.#mode === TimerMode.TSC_DEADLINE ? this.#deadline : 0n;
  }
  set deadline(value: bigint) {
    if (this.#mode !== TimerMode.TSC_DEADLINE) return;
    this.#deadline = value;
    if (value === 0n) this.#timer.cancel();
    else this.#armDeadline();
  }

  /** The TSC was written: a deadline is one in its terms. */
  timeStampChanged(): void {
    if (this.#mode === TimerMode.TSC_DEADLINE && this.#deadline !== 0n) this.#armDeadline();
  }

  #armDeadline(): void {
    const now = this.#timeStamp.read();
    const ticks = this.#deadline > now ? Number(this.#deadline - now) : 0;
    // The time stamp is a whole number of ticks; the deadline falls on or just after the instant at which it is reached.
    this.#timer.arm(this.#clock.nowNs() + Math.ceil((ticks * 1e9) / this.#timeStamp.hz));
  }

  #expired(): void {
    if (this.#mode === TimerMode.TSC_DEADLINE) {
      if (this.#timeStamp.read() < this.#deadline) {
        this.#armDeadline();
        return;
      }
      this.#deadline = 0n;
    } else if (this.#mode === TimerMode.PERIODIC && this.#initial !== 0) {
      this.#startNs += this.#initial * this.#tickNs;
      this.#timer.arm(Math.max(this.#startNs + this.#initial * this.#tickNs, this.#clock.nowNs() + 1));
    }
    this.#fire();
  }

  save(): ApicTimerState {
    return {
      mode: this.#mode,
      divide: this.#divide,
      initial: this.#initial,
      startNs: this.#startNs,
      endNs: this.#timer.deadlineNs,
      deadline: this.#deadline,
    };
  }

  restore(state: ApicTimerState): void {
    this.#mode = state.mode;
    this.#divide = state.divide;
    this.#initial = state.initial;
    this.#startNs = state.startNs;
    this.#deadline = state.deadline;
    if (state.mode === TimerMode.TSC_DEADLINE && state.deadline !== 0n) this.#armDeadline();
    else if (state.endNs === undefined) this.#timer.cancel();
    else this.#timer.arm(state.endNs);
  }

  /** Counts on from `current`, as of now; a periodic timer that stands at 0 begins anew, and another one there has ended. */
  resume(current: number): void {
    if (this.#mode === TimerMode.TSC_DEADLINE) return;
    const count = current === 0 && this.#mode === TimerMode.PERIODIC ? this.#initial : current;
    if (count === 0) {
      this.#timer.cancel();
      return;
    }
    this.#startCount(count);
    // Where the period under way would have begun.
    this.#startNs -= Math.max(0, this.#initial - count) * this.#tickNs;
  }
}
