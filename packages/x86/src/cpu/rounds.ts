import { MachineClock } from './time/machine-clock.ts';

/** Something that executes instructions in turns with others: a processor, or a virtual CPU. */
export interface RoundMember {
  /** Executed so far; exact also inside an instruction. */
  readonly instructions: number;
  /** True where running it would execute something. */
  readonly isRunnable: boolean;
  /** While it runs: come back when `instructions` has this value, at the latest. */
  stopAt(instructions: number): void;
  /** While it runs: come back after the instruction under way. */
  stop(): void;
}

export interface RoundsOptions {
  /** `virtual`: time is a function of instructions executed. `host`: wall time. */
  readonly clock: 'virtual' | 'host';
  /** Monotonic nanoseconds of the host; only for the host clock. By default `performance.now()`. */
  readonly hostNowNs?: (() => number) | undefined;
  /** Speed of virtual time; by default 1e9: an instruction a nanosecond. */
  readonly instructionsPerSecond?: number | undefined;
}

/** Why `Rounds.run` came back; `idle`: nobody is runnable, and (on the host clock) the next timer is due at `deadlineNs`, or none is armed. */
export type RoundsResult<M, R> =
  | { readonly reason: 'budget' | 'stopped' }
  | { readonly reason: 'idle'; readonly deadlineNs: number | undefined }
  | { readonly reason: 'reported'; readonly member: M; readonly report: R };

/** Instructions that each of several members runs before the next one's turn. Small: a CPU sees what others wrote at most this late. */
const QUANTUM = 20_000;
/** The host clock is looked at after this many instructions. */
const HOST_QUANTUM = 20_000;
const LONGEST_WINDOW = 2 ** 30;

/**
 * Lets processors that share memory and time take turns on one thread. In each round, one after the other runs the same window of time. On the virtual clock the order,
 * and so everything, is a function of what has been executed; a window ends at the next timer's deadline at the latest.
 */
export class Rounds<M extends RoundMember, R> {
  readonly clock: MachineClock;
  readonly isVirtual: boolean;
  readonly nsPerInstruction: number;
  readonly #members: M[] = [];
  readonly #run: (member: M, instructions: number) => R | undefined;
  readonly #hostNowNs: () => number;
  readonly #hostStartNs: number;
  /** Time of each member in instructions is `instructions + #idle[i]`: what it executed and what it slept through. */
  readonly #idle: number[] = [];
  /** Places of those that run now: all, or one. */
  #running: readonly number[] = [];
  /** All have reached this time, in instructions. */
  #now = 0;
  /** End of the round under way. */
  #end = 0;
  #current = -1;
  #stopRequested = false;
  #idleCount = 0;

  /** @param run lets a member execute at most so many instructions; undefined: nothing to report, it goes on with the next round */
  constructor(options: RoundsOptions, run: (member: M, instructions: number) => R | undefined) {
    this.isVirtual = options.clock !== 'host';
    this.nsPerInstruction = 1e9 / (options.instructionsPerSecond ?? 1e9);
    this.#hostNowNs = options.hostNowNs ?? (() => Math.floor(performance.now() * 1e6));
    this.#hostStartNs = this.isVirtual ? 0 : this.#hostNowNs();
    this.#run = run;
    this.clock = new MachineClock(
      () => this.#sourceNs(),
      (deadlineNs) => this.#shorten(deadlineNs),
    );
  }

  /** Adds a member, which begins at the others' time. */
  add(member: M): void {
    this.#members.push(member);
    this.#idle.push(this.#now - member.instructions);
  }
  /** Takes a member out. Not while it runs. */
  remove(member: M): void {
    const index = this.#members.indexOf(member);
    if (index < 0) return;
    this.#members.splice(index, 1);
    this.#idle.splice(index, 1);
  }
  get members(): readonly M[] {
    return this.#members;
  }
  /** Whose instruction is being executed now. */
  get current(): M | undefined {
    return this.#members[this.#current];
  }
  /** How often nobody was runnable. */
  get idleCount(): number {
    return this.#idleCount;
  }

  /** Makes `run` return 'stopped' at the end of the instruction under way. */
  stop(): void {
    this.#stopRequested = true;
    this.current?.stop();
  }

  /**
   * Runs until something is to be reported, at the latest after about `budget` instructions of time (with several members up to a round more). A round that a report
   * interrupted is taken up again by the next call.
   * @param budget at least 1
   * @param only this member runs alone, for exactly so many instructions of its own, and the others sleep; where it waits, that is `idle` with the deadline on either clock
   */
  run(budget: number, only?: M): RoundsResult<M, R> {
    this.#stopRequested = false;
    const alone = only === undefined ? -1 : this.#members.indexOf(only);
    this.#running = alone < 0 ? this.#members.map((_, index) => index) : [alone];
    const limit = (alone < 0 ? this.#now : this.#timeOf(alone)) + budget;
    while (this.#now < limit) {
      this.clock.expire(this.#timeNs());
      if (this.#stopRequested) return { reason: 'stopped' };
      if (!this.#someRunnable()) {
        this.#idleCount++;
        const deadlineNs = this.clock.nextDeadlineNs;
        if (deadlineNs === Number.POSITIVE_INFINITY) return { reason: 'idle', deadlineNs: undefined };
        if (!this.isVirtual || alone >= 0) return { reason: 'idle', deadlineNs };
        // Nobody has anything to do before the next timer: time jumps there.
        this.#advanceTo(Math.max(this.#now, this.#toInstructions(deadlineNs)));
        continue;
      }
      const result = this.#round(limit);
      if (result !== undefined) return result;
    }
    this.clock.expire(this.#timeNs());
    return { reason: 'budget' };
  }

  /** Lets time jump to the next timer's deadline, as it does by itself where all wait; on the host clock only what is due expires. */
  skipToDeadline(): void {
    const deadlineNs = this.clock.nextDeadlineNs;
    if (this.isVirtual && deadlineNs !== Number.POSITIVE_INFINITY) this.#advanceTo(Math.max(this.#now, this.#toInstructions(deadlineNs)));
    this.clock.expire(this.#timeNs());
  }

  #someRunnable(): boolean {
    for (const index of this.#running) if ((this.#members[index] as M).isRunnable) return true;
    return false;
  }

  #round(limit: number): RoundsResult<M, R> | undefined {
    const members = this.#members;
    const running = this.#running;
    const quantum = !this.isVirtual ? HOST_QUANTUM : running.length > 1 ? QUANTUM : LONGEST_WINDOW;
    // Rounds of several members are always whole: what they do must not depend on how the caller slices time.
    this.#end = running.length > 1 ? this.#now + quantum : Math.min(limit, this.#now + quantum);
    if (this.isVirtual) this.#end = Math.min(this.#end, Math.max(this.#now + 1, this.#toInstructions(this.clock.nextDeadlineNs)));
    for (const index of running) {
      const report = this.#runUntilEnd(members[index] as M, index);
      if (report !== undefined) return { reason: 'reported', member: members[index] as M, report };
      if (this.#stopRequested) return { reason: 'stopped' };
    }
    // Where all wait, it is not yet the end of the window: the next event may come sooner.
    const latest = this.#someRunnable() ? this.#end : Math.max(this.#now, ...running.map((index) => this.#timeOf(index)));
    this.#advanceTo(latest);
    return undefined;
  }

  #runUntilEnd(member: M, index: number): R | undefined {
    while (this.#timeOf(index) < this.#end) {
      if (!member.isRunnable) return undefined;
      this.#current = index;
      let report: R | undefined;
      try {
        report = this.#run(member, Math.ceil(this.#end - this.#timeOf(index)));
      } finally {
        this.#current = -1;
      }
      if (report !== undefined || this.#stopRequested) return report;
    }
    return undefined;
  }

  /** Everybody has reached this time: those that are behind slept. */
  #advanceTo(time: number): void {
    this.#now = time;
    for (let index = 0; index < this.#members.length; index++) {
      const behind = time - this.#timeOf(index);
      if (behind > 0) this.#idle[index] = (this.#idle[index] as number) + behind;
    }
  }

  #timeOf(index: number): number {
    return (this.#members[index] as M).instructions + (this.#idle[index] as number);
  }

  /** A timer was armed: the round ends when it expires, if that is sooner. */
  #shorten(deadlineNs: number): void {
    if (!this.isVirtual || this.#current < 0) return;
    const time = this.#timeOf(this.#current);
    const end = Math.max(this.#toInstructions(deadlineNs), time);
    if (end >= this.#end) return;
    this.#end = end;
    const member = this.#members[this.#current] as M;
    member.stopAt(member.instructions + (end - time));
  }

  #toInstructions(ns: number): number {
    return Math.ceil(ns / this.nsPerInstruction);
  }

  #sourceNs(): number {
    if (!this.isVirtual) return this.#hostNowNs() - this.#hostStartNs;
    return Math.floor((this.#current < 0 ? this.#now : this.#timeOf(this.#current)) * this.nsPerInstruction);
  }

  /** Time for expiring timers, between rounds. */
  #timeNs(): number {
    return this.isVirtual ? Math.floor(this.#now * this.nsPerInstruction) : this.#sourceNs();
  }
}
