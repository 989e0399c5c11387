import type { InterruptAcknowledge } from '@minusone/core';
import { InvalidArgumentError } from '@minusone/core';
import type { MachineMemory, PhysicalAddressSpace, PortSpace } from '@minusone/memory';
import type { Engine } from '../engine/engine.ts';
import { Activity } from './activity.ts';
import { ApicBus } from './apic/apic-bus.ts';
import { ApicWindow } from './apic/apic-window.ts';
import { LocalApic } from './apic/local-apic.ts';
import { Cpu, type RunResult } from './cpu.ts';
import type { CpuModel } from './cpuid/model.ts';
import type { Extension } from './extension.ts';
import { MachineClock } from './time/machine-clock.ts';
import { timeStampOf } from './time/time-stamp.ts';

export interface ProcessorsOptions {
  readonly memory: MachineMemory;
  readonly physical: PhysicalAddressSpace;
  readonly ports: PortSpace;
  readonly model: CpuModel;
  /** 1 to 64. */
  readonly cpus: number;
  /** Makes each CPU's engine. */
  readonly engine: (cpu: Cpu) => Engine;
  /**
   * `virtual`: time is a function of instructions executed. `host`: wall time, from `hostNowNs`.
   * @default 'virtual'
   */
  readonly clock?: 'virtual' | 'host';
  /** Monotonic nanoseconds of the host; only for the host clock. By default `performance.now()`. */
  readonly hostNowNs?: () => number;
  /** Speed of virtual time; by default 1e9: an instruction a nanosecond. */
  readonly instructionsPerSecond?: number;
  /** The 8259 pair, as it answers INTA; its output goes to `lint0` of CPU 0's APIC. */
  readonly external?: InterruptAcknowledge;
  readonly extensions?: (index: number) => readonly Extension[];
}

/** Why `Processors.run` came back. */
export interface ProcessorsResult {
  /** `idle`: every CPU waits, and nothing but a device (or, on the host clock, the deadline) will wake one. */
  readonly reason: 'budget' | 'idle' | 'stopped' | 'shutdown' | 'restart';
  /** The CPU that shut down, or waits for an answer. */
  readonly cpu?: Cpu;
  /** `idle`: when the next timer expires; undefined if none is armed. */
  readonly deadlineNs?: number;
}

/** Instructions that each of several CPUs runs before the next one's turn. Small: a CPU sees what others wrote at most this late. */
const QUANTUM = 20_000;
/** The host clock is looked at after this many instructions. */
const HOST_QUANTUM = 20_000;
const LONGEST_WINDOW = 2 ** 30;

/**
 * The processors of a machine, which share memory and time. They run in rounds: in each, one after the other runs the same window of time. On the virtual
 * clock the order, and so everything, is a function of what has been executed; a window ends at the next timer's deadline at the latest.
 */
export class Processors {
  readonly cpus: readonly Cpu[];
  readonly bus: ApicBus = new ApicBus();
  readonly window: ApicWindow;
  readonly clock: MachineClock;
  readonly #isVirtual: boolean;
  readonly #nsPerInstruction: number;
  readonly #hostNowNs: () => number;
  readonly #hostStartNs: number;
  /** Time of each CPU in instructions is `cpu.instructions + #idle[i]`: what it executed and what it slept through. */
  readonly #idle: number[];
  /** All CPUs have reached this time, in instructions. */
  #now = 0;
  /** End of the round under way. */
  #end = 0;
  #current = -1;
  #stopRequested = false;
  #idleCount = 0;

  /** @throws {InvalidArgumentError} `cpus` is not 1 to 64 */
  constructor(options: ProcessorsOptions) {
    const { cpus, model, memory, physical, ports, engine, external } = options;
    if (!Number.isInteger(cpus) || cpus < 1 || cpus > 64)
      throw new InvalidArgumentError(`${cpus} CPUs are not possible.`, 'Ask for 1 to 64.', { cpus });
    this.#isVirtual = options.clock !== 'host';
    this.#nsPerInstruction = 1e9 / (options.instructionsPerSecond ?? 1e9);
    this.#hostNowNs = options.hostNowNs ?? (() => Math.floor(performance.now() * 1e6));
    this.#hostStartNs = this.#isVirtual ? 0 : this.#hostNowNs();
    this.clock = new MachineClock(
      () => this.#sourceNs(),
      (deadlineNs) => this.#shorten(deadlineNs),
    );
    const timeStamp = timeStampOf(this.clock, model.tscHz, this.#isVirtual ? this.#nsPerInstruction : 0);
    this.#idle = new Array<number>(cpus).fill(0);
    this.cpus = Array.from({ length: cpus }, (_, index) => {
      const cpu = new Cpu({ memory, physical, ports, model, index, engine, timeStamp, extensions: options.extensions?.(index) ?? [] });
      const stamp = { hz: model.tscHz, read: () => cpu.msrs.timeStamp };
      const apic = new LocalApic({
        id: index,
        bus: this.bus,
        host: cpu,
        clock: this.clock,
        timeStamp: stamp,
        ...(external === undefined ? {} : { external }),
      });
      cpu.apic = apic;
      return cpu;
    });
    this.window = new ApicWindow(physical, this.bus, () => this.cpus[this.#current]?.apic);
  }

  /** The bootstrap processor. */
  get bootstrap(): Cpu {
    return this.cpus[0] as Cpu;
  }
  /** The CPU whose instruction is being executed now. */
  get current(): Cpu | undefined {
    return this.cpus[this.#current];
  }
  /** Instructions executed by all. */
  get instructions(): number {
    return this.cpus.reduce((sum, cpu) => sum + cpu.instructions, 0);
  }

  /** How often every CPU was waiting. */
  get idleCount(): number {
    return this.#idleCount;
  }

  /** Makes `run` return 'stopped' at the end of the instruction under way. */
  stop(): void {
    this.#stopRequested = true;
    this.current?.stop();
  }

  /** RESET# to all. */
  reset(): void {
    for (const cpu of this.cpus) cpu.reset();
  }

  /**
   * Runs until something is to be reported, at the latest after about `budget` instructions of time (with several CPUs up to a round more).
   * @param budget at least 1
   */
  run(budget: number): ProcessorsResult {
    this.#stopRequested = false;
    const limit = this.#now + budget;
    while (this.#now < limit) {
      this.clock.expire(this.#timeNs());
      if (this.#stopRequested) return { reason: 'stopped' };
      if (!this.cpus.some((cpu) => cpu.isRunnable)) {
        this.#idleCount++;
        const deadlineNs = this.clock.nextDeadlineNs;
        if (!this.#isVirtual || deadlineNs === Number.POSITIVE_INFINITY) {
          return deadlineNs === Number.POSITIVE_INFINITY ? { reason: 'idle' } : { reason: 'idle', deadlineNs };
        }
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

  #round(limit: number): ProcessorsResult | undefined {
    const quantum = !this.#isVirtual ? HOST_QUANTUM : this.cpus.length > 1 ? QUANTUM : LONGEST_WINDOW;
    // Rounds of several CPUs are always whole: what they do must not depend on how the caller slices time.
    this.#end = this.cpus.length > 1 ? this.#now + quantum : Math.min(limit, this.#now + quantum);
    if (this.#isVirtual) this.#end = Math.min(this.#end, Math.max(this.#now + 1, this.#toInstructions(this.clock.nextDeadlineNs)));
    for (let index = 0; index < this.cpus.length; index++) {
      const cpu = this.cpus[index] as Cpu;
      const result = this.#runUntilEnd(cpu, index);
      if (result === 'stopped' || this.#stopRequested) return { reason: 'stopped' };
      if (result === 'shutdown' || result === 'restart') return { reason: result, cpu };
    }
    // Where all wait, it is not yet the end of the window: the next event may come sooner.
    const waits = !this.cpus.some((cpu) => cpu.isRunnable);
    this.#advanceTo(waits ? Math.max(this.#now, ...this.cpus.map((_, index) => this.#timeOf(index))) : this.#end);
    return undefined;
  }

  #runUntilEnd(cpu: Cpu, index: number): RunResult {
    let result: RunResult = 'budget';
    while (this.#timeOf(index) < this.#end) {
      if (!cpu.isRunnable) return cpu.activity === Activity.SHUTDOWN ? 'shutdown' : 'halted';
      this.#current = index;
      try {
        result = cpu.run(Math.ceil(this.#end - this.#timeOf(index)));
      } finally {
        this.#current = -1;
      }
      if (result !== 'budget') return result;
    }
    return result;
  }

  /** Everybody has reached this time: those that are behind slept. */
  #advanceTo(time: number): void {
    this.#now = time;
    for (let index = 0; index < this.cpus.length; index++) {
      const behind = time - this.#timeOf(index);
      if (behind > 0) this.#idle[index] = (this.#idle[index] as number) + behind;
    }
  }

  #timeOf(index: number): number {
    return (this.cpus[index] as Cpu).instructions + (this.#idle[index] as number);
  }

  /** A timer was armed: the round ends when it expires, if that is sooner. */
  #shorten(deadlineNs: number): void {
    if (!this.#isVirtual || this.#current < 0) return;
    const time = this.#timeOf(this.#current);
    const end = Math.max(this.#toInstructions(deadlineNs), time);
    if (end >= this.#end) return;
    this.#end = end;
    const cpu = this.cpus[this.#current] as Cpu;
    cpu.stopAt(cpu.instructions + (end - time));
  }

  #toInstructions(ns: number): number {
    return Math.ceil(ns / this.#nsPerInstruction);
  }

  #sourceNs(): number {
    if (!this.#isVirtual) return this.#hostNowNs() - this.#hostStartNs;
    return Math.floor((this.#current < 0 ? this.#now : this.#timeOf(this.#current)) * this.#nsPerInstruction);
  }

  /** Time for expiring timers, between rounds. */
  #timeNs(): number {
    return this.#isVirtual ? Math.floor(this.#now * this.#nsPerInstruction) : this.#sourceNs();
  }
}
