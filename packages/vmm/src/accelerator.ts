import type { Clock, InterruptAcknowledge, InterruptLine, InterruptMessageSink } from '@minusone/core';
import type { BootState } from '@minusone/loader';
import type { MachineMemory, PhysicalAddressSpace, PortSpace } from '@minusone/memory';
import type { CpuModel, JitOptions } from '@minusone/x86';

/** How a machine tells the time: `virtual` is a function of instructions executed, idle time skipped, the same in every run; `host` follows wall time and sleeps when idle. */
export type ClockKind = 'virtual' | 'host';

/** A part of linear memory. */
export interface SpareMemory {
  /** Offset in the linear memory, a multiple of 4096. */
  readonly hostOffset: number;
  readonly bytes: number;
}

/** What the processors of a machine are made of and connected to. */
export interface ProcessorParts {
  readonly memory: MachineMemory;
  readonly physical: PhysicalAddressSpace;
  readonly ports: PortSpace;
  readonly model: CpuModel;
  readonly cpus: number;
  readonly clock: ClockKind;
  /** The time of day when the machine is made, seconds since 1970-01-01 UTC: what its real-time clock shows, too. */
  readonly startEpochSeconds: number;
  /** As many bytes as the accelerator asked for. */
  readonly spare: SpareMemory;
  /** Compile hot code. */
  readonly jit: boolean | JitOptions;
  /** The 8259 pair, for INTA cycles; given later than the processors are made, as the pair needs their INTR. */
  readonly interruptAcknowledge: InterruptAcknowledge;
}

/** Why processors came back from `run`. */
export type ProcessorsResult =
  /** The instructions given are used up. */
  | { readonly reason: 'budget' }
  /** Every processor waits; the host clock's next timer is due at `deadlineNs` (undefined: nothing will ever happen by itself). */
  | { readonly reason: 'idle'; readonly deadlineNs: number | undefined }
  /** A processor shut down: triple fault. */
  | { readonly reason: 'shutdown'; readonly cpu: number }
  /** `stop` was called. */
  | { readonly reason: 'stopped' };

/** What was done so far. */
export interface ProcessorsStatistics {
  readonly instructions: number;
  readonly instructionsInRegions: number;
  /** VM exits by the manual's names; empty on the bare CPU. */
  readonly exits: Readonly<Record<string, number>>;
}

/** The processors of a machine, whatever runs them. */
export interface ProcessorSet {
  readonly clock: Clock;
  /** Where the IOAPIC and message-signalled interrupts go. */
  readonly messages: InterruptMessageSink;
  /** Hears of the end of level-triggered interrupts, for the IOAPIC. */
  onEoi(listener: (vector: number) => void): void;
  /** INTR of the 8259 pair: LINT0 of the local APICs. */
  readonly intr: InterruptLine;
  /** Puts the first processor into the state a loader asks for; the others wait for SIPI. */
  start(state: BootState): void;
  run(instructions: number): ProcessorsResult;
  /** Makes `run` come back after the instruction under way. */
  stop(): void;
  /** How often all processors have been idle. */
  readonly idleCount: number;
  readonly statistics: ProcessorsStatistics;
}

/** Something that runs a machine's processors: the bare emulated CPU, or a hypervisor on an emulated extension of it. */
export interface Accelerator {
  readonly name: string;
  /** Host memory that it needs besides a guest's RAM of so many bytes: a multiple of 4096. */
  spareBytes?(ramBytes: number, cpus: number): number;
  createProcessors(parts: ProcessorParts): ProcessorSet;
}
