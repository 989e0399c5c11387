import type { InterruptAcknowledge } from '@minusone/core';
import { InvalidArgumentError } from '@minusone/core';
import type { MachineMemory, PhysicalAddressSpace, PortSpace } from '@minusone/memory';
import type { Engine } from '../engine/engine.ts';
import { ApicBus } from './apic/apic-bus.ts';
import { ApicWindow } from './apic/apic-window.ts';
import { LocalApic } from './apic/local-apic.ts';
import { Cpu, type RunResult } from './cpu.ts';
import type { CpuModel } from './cpuid/model.ts';
import type { Extension } from './extension.ts';
import { Rounds } from './rounds.ts';
import type { MachineClock } from './time/machine-clock.ts';
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
  /** Made for each CPU. */
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

/** The processors of a machine, which share memory and time: they run in rounds (see `Rounds`). */
export class Processors {
  readonly cpus: readonly Cpu[];
  readonly bus: ApicBus = new ApicBus();
  readonly window: ApicWindow;
  readonly #rounds: Rounds<Cpu, RunResult>;

  /** @throws {InvalidArgumentError} `cpus` is not 1 to 64 */
  constructor(options: ProcessorsOptions) {
    const { cpus, model, memory, physical, ports, engine, external } = options;
    if (!Number.isInteger(cpus) || cpus < 1 || cpus > 64)
      throw new InvalidArgumentError(`${cpus} CPUs are not possible.`, 'Ask for 1 to 64.', { cpus });
    const { hostNowNs, instructionsPerSecond } = options;
    this.#rounds = new Rounds<Cpu, RunResult>(
      { clock: options.clock ?? 'virtual', hostNowNs, instructionsPerSecond },
      (cpu, instructions) => {
        const result = cpu.run(instructions);
        // A layer's guest in the shutdown state waits: its hypervisor may take it out again.
        if (result === 'shutdown' && cpu.layer !== undefined) return undefined;
        return result === 'shutdown' || result === 'restart' || result === 'stopped' ? result : undefined;
      },
    );
    const { clock, isVirtual, nsPerInstruction } = this.#rounds;
    const timeStamp = timeStampOf(clock, model.tscHz, isVirtual ? nsPerInstruction : 0);
    this.cpus = Array.from({ length: cpus }, (_, index) => {
      const cpu = new Cpu({ memory, physical, ports, model, index, engine, timeStamp, extensions: options.extensions?.(index) ?? [] });
      const stamp = { hz: model.tscHz, read: () => cpu.msrs.machineTimeStamp };
      const apic = new LocalApic({
        id: index,
        bus: this.bus,
        host: cpu,
        clock,
        timeStamp: stamp,
        ...(external === undefined ? {} : { external }),
      });
      cpu.apic = apic;
      this.#rounds.add(cpu);
      return cpu;
    });
    this.window = new ApicWindow(physical, this.bus, () => this.current?.apic);
  }

  get clock(): MachineClock {
    return this.#rounds.clock;
  }
  /** The bootstrap processor. */
  get bootstrap(): Cpu {
    return this.cpus[0] as Cpu;
  }
  /** The CPU whose instruction is being executed now. */
  get current(): Cpu | undefined {
    return this.#rounds.current;
  }
  /** Instructions executed by all. */
  get instructions(): number {
    return this.cpus.reduce((sum, cpu) => sum + cpu.instructions, 0);
  }
  /** How often every CPU was waiting. */
  get idleCount(): number {
    return this.#rounds.idleCount;
  }

  /** Makes `run` return 'stopped' at the end of the instruction under way. */
  stop(): void {
    this.#rounds.stop();
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
    const result = this.#rounds.run(budget);
    if (result.reason === 'reported') return { reason: result.report as ProcessorsResult['reason'], cpu: result.member };
    if (result.reason === 'idle')
      return result.deadlineNs === undefined ? { reason: 'idle' } : { reason: 'idle', deadlineNs: result.deadlineNs };
    return result;
  }
}
