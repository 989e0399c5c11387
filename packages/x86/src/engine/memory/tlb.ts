import type { MachineMemory } from '@minusone/memory';
import { State } from '../../state/layout.ts';
import { JUMP_ENTRIES, JUMP_ENTRY_BYTES, TLB_ENTRIES, TLB_ENTRY_BYTES, TlbField } from './tlb-layout.ts';

/** A RIP that no instruction has (not canonical): an empty entry of the jump cache. */
const NO_RIP_HIGH = 0x5555_5555;
const NONE = 1;
const SET_BYTES: number = TLB_ENTRIES * TLB_ENTRY_BYTES + JUMP_ENTRIES * JUMP_ENTRY_BYTES;
const FETCH_ENTRIES = 256;

/** For whom a set's translations hold. */
export const AccessKind = {
  USER: 0,
  /** Supervisor with SMAP in force, or implicit; without CR4.SMAP all supervisor accesses. */
  SUPERVISOR: 1,
  /** Supervisor, explicit, with EFLAGS.AC: SMAP is suspended. */
  SUPERVISOR_AC: 2,
  /** User with alignment checking: nothing is ever filled in, so that every access takes the slow path, which checks. */
  USER_ALIGNED: 3,
} as const;
export type AccessKind = (typeof AccessKind)[keyof typeof AccessKind];

/** One set of the pool. */
export class TlbSet {
  readonly address: number;
  readonly jumpCache: number;
  kind: AccessKind = AccessKind.SUPERVISOR;
  readonly #i32: Int32Array;
  /** Which address space it is for (see `Tlb.select`); -1: none. */
  space = -1;
  lastUse = 0;
  /** False: the jump cache is empty. */
  hasJumps = true;
  /** The mode word, CS base and CS limit that the jump cache was filled under. */
  jumpMode = 0;
  jumpBase = 0;
  jumpLimit = 0;
  /** Translations for instruction fetch: page number halves and host page. */
  readonly fetchLow: Int32Array = new Int32Array(FETCH_ENTRIES);
  readonly fetchHigh: Int32Array = new Int32Array(FETCH_ENTRIES);
  readonly fetchHost: Float64Array = new Float64Array(FETCH_ENTRIES);

  constructor(memory: MachineMemory) {
    this.address = memory.allocate(SET_BYTES, 64);
    this.jumpCache = this.address + TLB_ENTRIES * TLB_ENTRY_BYTES;
    this.#i32 = memory.i32;
    this.clear();
  }

  clear(): void {
    const first = this.address >>> 2;
    const i32 = this.#i32;
    i32.fill(0, first, first + (TLB_ENTRIES * TLB_ENTRY_BYTES) / 4);
    for (let at = first; at < first + (TLB_ENTRIES * TLB_ENTRY_BYTES) / 4; at += TLB_ENTRY_BYTES / 4) {
      i32[at] = NONE;
      i32[at + 2] = NONE;
    }
    this.clearFetch();
  }

  /** Forgets everything but global pages. */
  clearNonGlobal(): void {
    const i32 = this.#i32;
    const first = this.address >>> 2;
    for (let at = first; at < first + (TLB_ENTRIES * TLB_ENTRY_BYTES) / 4; at += TLB_ENTRY_BYTES / 4) {
      if (i32[at + TlbField.global / 4] !== 0) continue;
      i32[at] = NONE;
      i32[at + 2] = NONE;
    }
    this.clearFetch();
  }

  clearJumps(): void {
    if (!this.hasJumps) return;
    this.hasJumps = false;
    const first = this.jumpCache >>> 2;
    this.#i32.fill(NO_RIP_HIGH, first, first + (JUMP_ENTRIES * JUMP_ENTRY_BYTES) / 4);
  }

  clearFetch(): void {
    this.fetchLow.fill(NONE);
    this.clearJumps();
  }

  /** Forgets one page (or, cheaply, more). */
  clearPage(low: number): void {
    const at = (this.address + ((low >>> 12) & (TLB_ENTRIES - 1)) * TLB_ENTRY_BYTES) >>> 2;
    this.#i32[at] = NONE;
    this.#i32[at + 2] = NONE;
    this.fetchLow[(low >>> 12) & (FETCH_ENTRIES - 1)] = NONE;
    this.clearJumps();
  }

  clearWriteTags(hostPage: number): void {
    const i32 = this.#i32;
    const first = this.address >>> 2;
    for (let at = first; at < first + (TLB_ENTRIES * TLB_ENTRY_BYTES) / 4; at += TLB_ENTRY_BYTES / 4) {
      if (i32[at + TlbField.hostPage / 4] === (hostPage | 0)) i32[at + 2] = NONE;
    }
  }

  /** Enters the translation of a page. `low`, `high`: any linear address in it. */
  fill(low: number, high: number, hostPage: number, writable: boolean, global: boolean): void {
    const i32 = this.#i32;
    const at = (this.address + ((low >>> 12) & (TLB_ENTRIES - 1)) * TLB_ENTRY_BYTES) >>> 2;
    const page = low & ~0xfff;
    i32[at] = page;
    i32[at + 1] = high;
    i32[at + 2] = writable ? page : NONE;
    i32[at + 3] = high;
    i32[at + 4] = (hostPage - page) | 0;
    i32[at + 5] = global ? 1 : 0;
    i32[at + 6] = hostPage | 0;
  }

  /** The address in linear memory of the byte at a linear address, if this set knows that it may be read or written; otherwise -1. */
  find(low: number, high: number, bytes: number, write: boolean): number {
    if ((low & 0xfff) + bytes > 0x1000) return -1;
    const i32 = this.#i32;
    const at = (this.address + ((low >>> 12) & (TLB_ENTRIES - 1)) * TLB_ENTRY_BYTES) >>> 2;
    const tag = write ? at + 2 : at;
    if (i32[tag] !== (low & ~0xfff) || i32[tag + 1] !== high) return -1;
    return ((low + (i32[at + 4] as number)) | 0) >>> 0;
  }

  findFetch(low: number, high: number): number {
    const at = (low >>> 12) & (FETCH_ENTRIES - 1);
    return this.fetchLow[at] === (low & ~0xfff) && this.fetchHigh[at] === high ? (this.fetchHost[at] as number) : -1;
  }

  fillFetch(low: number, high: number, hostPage: number): void {
    const at = (low >>> 12) & (FETCH_ENTRIES - 1);
    this.fetchLow[at] = low & ~0xfff;
    this.fetchHigh[at] = high;
    this.fetchHost[at] = hostPage;
  }
}

/** The TLB of one CPU: a few sets, recycled least recently used first. Sets of the current address space stay when the privilege level changes. */
export class Tlb {
  readonly sets: readonly TlbSet[];
  current: TlbSet;
  readonly #memory: MachineMemory;
  readonly #state: number;
  #clock = 0;

  /** @param sets how many sets the pool has */
  constructor(memory: MachineMemory, state: number, sets = 8) {
    this.#memory = memory;
    this.#state = state;
    this.sets = Array.from({ length: sets }, () => new TlbSet(memory));
    this.current = this.sets[0] as TlbSet;
  }

  /** The set for an address space (a number that names layer, tag and PCID) and kind of access. */
  setFor(space: number, kind: AccessKind): TlbSet {
    let oldest = this.sets[0] as TlbSet;
    for (const set of this.sets) {
      if (set.space === space && set.kind === kind) {
        set.lastUse = ++this.#clock;
        return set;
      }
      if (set !== this.current && (set.lastUse < oldest.lastUse || oldest === this.current)) oldest = set;
    }
    oldest.clear();
    oldest.space = space;
    oldest.kind = kind;
    oldest.lastUse = ++this.#clock;
    return oldest;
  }

  /** Makes a set the one that compiled code uses. */
  select(space: number, kind: AccessKind): void {
    const { current } = this;
    if (current.space !== space || current.kind !== kind) this.current = this.setFor(space, kind);
    const i32 = this.#memory.i32;
    i32[(this.#state + State.tlb) >>> 2] = this.current.address;
    i32[(this.#state + State.jumpCache) >>> 2] = this.current.jumpCache;
  }

  clear(): void {
    for (const set of this.sets) set.clear();
  }

  /** Forgets the pages of one address space: its own, or with the global ones. */
  clearSpace(space: number, keepGlobal: boolean): void {
    for (const set of this.sets) {
      if (set.space !== space) continue;
      if (keepGlobal) set.clearNonGlobal();
      else set.clear();
    }
  }

  clearPage(low: number): void {
    for (const set of this.sets) set.clearPage(low);
  }

  clearJumps(): void {
    for (const set of this.sets) set.clearJumps();
  }

  clearWriteTags(hostPage: number): void {
    for (const set of this.sets) if (set.space >= 0) set.clearWriteTags(hostPage);
  }
}
