import type { MachineMemory } from '@minusone/memory';
import { State } from '../../state/layout.ts';
import { LargePages, PageMask } from './large-pages.ts';
import {
  JUMP_ENTRIES,
  JUMP_ENTRY_BYTES,
  JumpField,
  jumpIndex,
  TLB_ENTRIES,
  TLB_ENTRY_BYTES,
  TLB_MASK,
  TLB_SHIFT,
  TlbField,
  TlbPart,
} from './tlb-layout.ts';
import { TrackedEntries } from './tracked-entries.ts';

/** A RIP that no instruction has (not canonical): an empty entry of the jump cache. */
const NO_RIP_HIGH = 0x5555_5555;
const NONE = 1;
const TAGS_BYTES = 2 * TLB_ENTRIES * TLB_ENTRY_BYTES;
export const JUMP_CACHE_BYTES: number = JUMP_ENTRIES * JUMP_ENTRY_BYTES;
const FETCH_ENTRIES = 1024;
/** Pieces of 4 KBytes of what `PageMask.LARGE` leaves together. */
const LARGE_PAGE_ENTRIES = -PageMask.LARGE >>> 12;
const WORDS = TLB_ENTRY_BYTES / 4;
/** In place of the one entry by which a page may be written: there may be several. */
const SEVERAL = -1;

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

/** Empties a jump cache. */
export function emptyJumpCache(i32: Int32Array, address: number): void {
  i32.fill(NO_RIP_HIGH, address >>> 2, (address + JUMP_CACHE_BYTES) >>> 2);
}

/** One set of the pool. */
export class TlbSet {
  readonly address: number;
  readonly jumpCache: number;
  kind: AccessKind = AccessKind.SUPERVISOR;
  readonly #i32: Int32Array;
  readonly #writers: Int16Array;
  readonly #firstWriter: number;
  /** Which address space it is for (see `Tlb.select`); -1: none. */
  space = -1;
  lastUse = 0;
  /** The mode word, CS base and CS limit that the jump cache was filled under. */
  jumpMode = 0;
  jumpBase = 0;
  jumpLimit = 0;
  /** What is filled, and whether by a global page: entries for reading and then for writing; of the jump cache; for instruction fetch. */
  readonly #tags = new TrackedEntries(2 * TLB_ENTRIES);
  readonly #jumps = new TrackedEntries(JUMP_ENTRIES);
  readonly #fetches = new TrackedEntries(FETCH_ENTRIES);
  /** Translations for instruction fetch: page number halves and host page. */
  readonly #fetchLow = new Int32Array(FETCH_ENTRIES);
  readonly #fetchHigh = new Int32Array(FETCH_ENTRIES);
  readonly #fetchHost = new Float64Array(FETCH_ENTRIES);

  /**
   * @param writers by host page: by which entry for writing it may be reached, counted over all sets from 1; 0: none; or SEVERAL. Entries that went away in between
   * may still be named.
   * @param firstWriter the number of this set's first entry for writing
   */
  constructor(memory: MachineMemory, writers: Int16Array, firstWriter: number) {
    this.#writers = writers;
    this.#firstWriter = firstWriter;
    this.address = memory.allocate(TAGS_BYTES + JUMP_CACHE_BYTES, 64);
    this.jumpCache = this.address + TAGS_BYTES;
    this.#i32 = memory.i32;
    for (let index = 0; index < 2 * TLB_ENTRIES; index++) this.#i32[this.#word(index)] = NONE;
    emptyJumpCache(memory.i32, this.jumpCache);
    this.#fetchLow.fill(NONE);
  }
  /** Gives the memory of the entries back. */
  dispose(memory: MachineMemory): void {
    memory.release(this.address, TAGS_BYTES + JUMP_CACHE_BYTES);
  }
  /** Where the entry with an index in `#tags` stands, in words. */
  #word(index: number): number {
    return (this.address >>> 2) + index * WORDS;
  }

  clear(): void {
    this.#clearTags(false);
    this.clearFetch();
  }
  /** Forgets everything but global pages. */
  clearNonGlobal(): void {
    this.#clearTags(true);
    this.#clearFetches(true);
    this.#clearJumps(true);
  }
  clearFetch(): void {
    this.#clearFetches(false);
    this.clearJumps();
  }
  clearJumps(): void {
    this.#clearJumps(false);
  }
  #clearTags(keepGlobal: boolean): void {
    const tags = this.#tags;
    for (let index = 0; (index = keepGlobal ? tags.takeLocal() : tags.take()) >= 0; ) this.#i32[this.#word(index)] = NONE;
  }
  #clearFetches(keepGlobal: boolean): void {
    const fetches = this.#fetches;
    for (let index = 0; (index = keepGlobal ? fetches.takeLocal() : fetches.take()) >= 0; ) this.#fetchLow[index] = NONE;
  }
  #clearJumps(keepGlobal: boolean): void {
    const jumps = this.#jumps;
    const first = this.jumpCache >>> 2;
    for (let index = 0; (index = keepGlobal ? jumps.takeLocal() : jumps.take()) >= 0; )
      this.#i32[first + index * (JUMP_ENTRY_BYTES / 4) + 1] = NO_RIP_HIGH;
  }

  /** Forgets one page (or, cheaply, more). */
  clearPage(low: number, mask: PageMask): void {
    if (mask === PageMask.HUGE) this.clear();
    else if (mask === PageMask.LARGE) this.#clearLargePage(low);
    else {
      const i32 = this.#i32;
      const index = (low >>> 12) & (TLB_ENTRIES - 1);
      i32[this.#word(index)] = NONE;
      i32[this.#word(TLB_ENTRIES + index)] = NONE;
      this.#fetchLow[(low >>> 12) & (FETCH_ENTRIES - 1)] = NONE;
      this.#clearJumpsTo(low, mask);
    }
  }
  #clearLargePage(low: number): void {
    const i32 = this.#i32;
    const fetches = this.#fetchLow;
    const first = this.#word((low >>> 12) & (TLB_ENTRIES - 1) & -LARGE_PAGE_ENTRIES);
    const region = low & PageMask.LARGE;
    for (let n = 0, at = first; n < LARGE_PAGE_ENTRIES; n++, at += WORDS) {
      if (((i32[at] as number) & PageMask.LARGE) === region) i32[at] = NONE;
      const writing = at + TLB_ENTRIES * WORDS;
      if (((i32[writing] as number) & PageMask.LARGE) === region) i32[writing] = NONE;
    }
    for (let at = 0; at < FETCH_ENTRIES; at++) if (((fetches[at] as number) & PageMask.LARGE) === region) fetches[at] = NONE;
    this.#clearJumpsTo(low, PageMask.LARGE);
  }
  #clearJumpsTo(low: number, mask: PageMask): void {
    const i32 = this.#i32;
    const jumps = this.#jumps;
    const first = this.jumpCache >>> 2;
    for (let n = jumps.count; --n >= 0; ) {
      const at = first + jumps.at(n) * (JUMP_ENTRY_BYTES / 4);
      // RIP is an offset in CS: the base is not known here, so outside flat code all go.
      if (this.jumpBase !== 0 || (((i32[at] as number) ^ low) & mask) === 0) i32[at + 1] = NO_RIP_HIGH;
    }
  }

  /** Empties those entries for writing from `first` up to `end` that lead to a page. */
  clearWriteTags(hostPage: number, first = 0, end: number = TLB_ENTRIES): void {
    const i32 = this.#i32;
    for (let index = first; index < end; index++) {
      const at = this.#word(TLB_ENTRIES + index);
      if (i32[at + TlbField.hostPage / 4] === (hostPage | 0)) i32[at] = NONE;
    }
  }

  /** Enters the translation of a page for reading or for writing. `low`, `high`: any linear address in it. */
  fill(low: number, high: number, hostPage: number, write: boolean, global: boolean): void {
    const i32 = this.#i32;
    const index = ((low >>> 12) & (TLB_ENTRIES - 1)) + (write ? TLB_ENTRIES : 0);
    const at = this.#word(index);
    const page = low & ~0xfff;
    i32[at] = page;
    i32[at + 1] = high;
    i32[at + TlbField.addend / 4] = (hostPage - page) | 0;
    i32[at + TlbField.hostPage / 4] = hostPage | 0;
    this.#tags.note(index, global);
    if (write) this.#noteWriter(hostPage >>> 12, this.#firstWriter + index - TLB_ENTRIES);
  }
  #noteWriter(page: number, writer: number): void {
    const known = this.#writers[page];
    if (known !== writer) this.#writers[page] = known === 0 ? writer : SEVERAL;
  }

  /** The address in linear memory of the byte at a linear address, if this set knows that it may be read or written; otherwise -1. */
  find(low: number, high: number, bytes: number, write: boolean): number {
    if ((low & 0xfff) + bytes > 0x1000) return -1;
    const i32 = this.#i32;
    const at = (this.address + ((low >>> TLB_SHIFT) & TLB_MASK) + (write ? TlbPart.write : TlbPart.read)) >>> 2;
    if (i32[at] !== (low & ~0xfff) || i32[at + 1] !== high) return -1;
    return ((low + (i32[at + TlbField.addend / 4] as number)) | 0) >>> 0;
  }

  findFetch(low: number, high: number): number {
    const at = (low >>> 12) & (FETCH_ENTRIES - 1);
    return this.#fetchLow[at] === (low & ~0xfff) && this.#fetchHigh[at] === high ? (this.#fetchHost[at] as number) : -1;
  }
  /** Whether the page of a fetch that was just found is global. */
  isGlobalFetch(low: number): boolean {
    return this.#fetches.isGlobal((low >>> 12) & (FETCH_ENTRIES - 1));
  }
  fillFetch(low: number, high: number, hostPage: number, global: boolean): void {
    const at = (low >>> 12) & (FETCH_ENTRIES - 1);
    this.#fetchLow[at] = low & ~0xfff;
    this.#fetchHigh[at] = high;
    this.#fetchHost[at] = hostPage;
    this.#fetches.note(at, global);
  }

  /** Enters a record in the jump cache for an offset in CS. `global`: the translation of its page is. */
  fillJump(low: number, high: number, record: number, global: boolean): void {
    const i32 = this.#i32;
    const index = jumpIndex(low);
    const at = (this.jumpCache >>> 2) + index * (JUMP_ENTRY_BYTES / 4);
    i32[at] = low;
    i32[at + 1] = high;
    i32[at + JumpField.record / 4] = record;
    this.#jumps.note(index, global);
  }
}

/** The TLB of one CPU: a few sets, recycled least recently used first. Sets of the current address space stay when the privilege level changes. */
export class Tlb {
  readonly sets: readonly TlbSet[];
  current: TlbSet;
  readonly #memory: MachineMemory;
  readonly #state: number;
  readonly #writers: Int16Array;
  readonly #largePages = new LargePages();
  #clock = 0;

  /** @param sets how many sets the pool has, at most 15: entries for writing are numbered in 16 bits */
  constructor(memory: MachineMemory, state: number, sets = 8) {
    this.#memory = memory;
    this.#state = state;
    this.#writers = new Int16Array(memory.byteLength >>> 12);
    this.sets = Array.from({ length: sets }, (_, n) => new TlbSet(memory, this.#writers, 1 + n * TLB_ENTRIES));
    this.current = this.sets[0] as TlbSet;
  }

  dispose(): void {
    for (const set of this.sets) set.dispose(this.#memory);
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
    this.#largePages.clear();
  }

  /** A piece of a page larger than 4 KBytes is filled in: `level` of the guest's entry, 2 or 3. */
  noteLargePage(low: number, high: number, level: number): void {
    this.#largePages.note(low, high, level);
  }

  /** Forgets the pages of one address space: its own, or with the global ones. */
  clearSpace(space: number, keepGlobal: boolean): void {
    for (const set of this.sets) {
      if (set.space !== space) continue;
      if (keepGlobal) set.clearNonGlobal();
      else set.clear();
    }
  }

  /** Forgets all of a range of address spaces, both ends included. */
  clearSpaces(first: number, last: number): void {
    for (const set of this.sets) if (set.space >= first && set.space <= last) set.clear();
  }

  /** INVLPG: forgets the page at an address, all of it where it is large. */
  clearPage(low: number, high: number): void {
    const mask = this.#largePages.maskAt(low, high);
    for (const set of this.sets) set.clearPage(low, mask);
  }

  clearJumps(): void {
    for (const set of this.sets) set.clearJumps();
  }

  /** Forgets by which entries a page may be written: as a rule that is one, which is known, so that logging the writes to a page costs no search. */
  clearWriteTags(hostPage: number): void {
    const writer = this.#writers[hostPage >>> 12] as number;
    if (writer === 0) return;
    this.#writers[hostPage >>> 12] = 0;
    if (writer === SEVERAL) {
      for (const set of this.sets) set.clearWriteTags(hostPage);
      return;
    }
    const index = (writer - 1) % TLB_ENTRIES;
    (this.sets[(writer - 1 - index) / TLB_ENTRIES] as TlbSet).clearWriteTags(hostPage, index, index + 1);
  }
}
