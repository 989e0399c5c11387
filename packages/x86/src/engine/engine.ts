import type { PhysicalAddressSpace } from '@minusone/memory';
import type { PagingControls, SecondStage, WalkResult } from '@minusone/mmu';
import type { Insn } from '../decode/insn.ts';
import type { Exit } from './exit.ts';

/**
 * Decides whether a device may be read now. A read that must be answered from outside first is refused: the instruction is abandoned without a trace
 * (Exit.RESTART), and runs again later. Writes are never refused.
 */
export interface ReadGate {
  mayRead(gpa: number, bytes: number): boolean;
  /** The same for a port. */
  mayReadPort(port: number, bytes: number): boolean;
  /** Told of a write that reaches no plain memory, before it is made (in one piece or several). */
  willWrite?(gpa: number, bytes: number): void;
}

/**
 * The line between the CPU (registers, segmentation, exceptions, events: plain TypeScript in `cpu/`) and the engine that runs its
 * instructions (`engine/`: TLB, code cache, interpreter, JIT). The CPU calls `Engine`; the engine asks `EngineHost`.
 */
export interface EngineHost {
  /** Address of this CPU's state in the machine's memory. */
  readonly state: number;
  /** Guest-physical memory of the layer that runs now. */
  readonly physical: PhysicalAddressSpace;
  /** Paging as CR0, CR3, CR4 and EFER say now; a new object after each change. */
  readonly paging: PagingControls;
  /** From guest-physical addresses of this layer to those of the memory; absent: they are the same. */
  readonly stage?: SecondStage | null;
  /** Names layer, EPTP or nCR3, and VPID or ASID: translations are kept apart by it. Absent: 0. */
  readonly addressSpaceTag?: number;
  /** Absent: devices answer at once. */
  readonly gate?: ReadGate | undefined;
  /** Hardware breakpoints on data: true where the linear range touches an enabled DR0-3 of the kind; the page then has no fast tags. */
  watches(linearLow: number, linearHigh: number, bytes: number, write: boolean): boolean;
  /** True while any data breakpoint is enabled on the page of this linear address. */
  watchesPage(linearLow: number, linearHigh: number): boolean;
}

/** What a data access by the CPU itself is for. Explicit accesses use CPL; descriptor tables, TSS and interrupt delivery are implicit supervisor accesses. */
export type AccessRights = 'cpl' | 'supervisor' | 'user';

/**
 * Data accesses at linear addresses by TypeScript code (system rows, exception delivery). Linear addresses are 64-bit as two signed 32-bit halves.
 * They throw `GuestFault` (#PF with CR2 set, or #GP / #SS by the caller's own checks before). Crossing pages is handled; MMIO is dispatched.
 */
export interface LinearAccess {
  read8(low: number, high: number, rights?: AccessRights): number;
  read16(low: number, high: number, rights?: AccessRights): number;
  /** Unsigned. */
  read32(low: number, high: number, rights?: AccessRights): number;
  read64(low: number, high: number, rights?: AccessRights): bigint;
  write8(low: number, high: number, value: number, rights?: AccessRights): void;
  write16(low: number, high: number, value: number, rights?: AccessRights): void;
  write32(low: number, high: number, value: number, rights?: AccessRights): void;
  write64(low: number, high: number, value: bigint, rights?: AccessRights): void;
  /** Raises now what a later access would. */
  probe(low: number, high: number, bytes: number, write: boolean, rights?: AccessRights): void;
  /** Guest-physical address of a linear address, or throws the fault. */
  translate(low: number, high: number, write: boolean, rights?: AccessRights): number;
}

/** Counters for `--stats` and tests. */
export interface EngineStatistics {
  readonly instructions: number;
  readonly instructionsInRegions: number;
  readonly blocksDecoded: number;
  readonly handlers: number;
  readonly regionsCompiled: number;
  readonly tlbMisses: number;
}

/** Runs one CPU's instructions. */
export interface Engine {
  /** Runs from RIP until there is a reason to come back; exactly as many instructions as leave `State.budget`, which ends at 0 or more. */
  execute(): Exit;
  /**
   * Runs exactly one instruction (single step, interrupt shadow), interpreted, and takes one from the budget. A repeated string instruction makes one iteration with
   * EFLAGS.TF set or where `iterates`, otherwise up to some thousands: while it is not through, RIP stays and the budget too.
   */
  executeOne(iterates?: boolean): Exit;
  /** The last thing executed was an iteration of a repeated string instruction that is not through; RIP stands at it. */
  isRepeating: boolean;
  /** The decoded instruction at RIP, after Exit.SYSTEM. */
  currentInsn(): Insn;
  readonly linear: LinearAccess;
  /** The mode word changed (CPL, CS, SS, CR0 ...): recompute which TLB set and which code applies. Cheap when nothing changed. */
  modeChanged(): void;
  /** MOV CR3 and its kin: select the set of the new address space. `keepGlobal`: global pages stay. */
  addressSpaceChanged(keepGlobal: boolean): void;
  /** CR0.PG, CR4.PGE ... changed, or everything must go. */
  flushAll(): void;
  /** INVLPG, in every address space tag. */
  invalidatePage(linearLow: number, linearHigh: number): void;
  /** Details of a fault with the vector `SECOND_STAGE_FAULT`; holds until the next walk. */
  readonly walkResult: WalkResult;
  /** Forgets what was cached of one address space (see `EngineHost.addressSpaceTag`), in all its PCIDs. */
  flushTag(tag: number): void;
  /** Gives back what it has of the machine's memory: it will not run again. */
  dispose(): void;
  readonly statistics: EngineStatistics;
}
