import { type MachineMemory, PageFlag } from '@minusone/memory';
import { Access, WalkFault, WalkResult, walk } from '@minusone/mmu';
import { SECOND_STAGE_FAULT, Vector } from '../../cpu/fault.ts';
import { Leave, Segment, State } from '../../state/layout.ts';
import { ModeBit } from '../../state/mode.ts';
import { Registers } from '../../state/registers.ts';
import type { EngineHost } from '../engine.ts';
import { copyBytes } from './copy-bytes.ts';
import { AccessKind, Tlb, type TlbSet } from './tlb.ts';

/** Process-context identifiers: each has its own place in an address space tag. */
export const PCIDS = 4096;
const CR4_PCIDE = 1 << 17;
const EFLAGS_AC = 1 << 18;
const CR0_AM = 1 << 18;
const FAST_WRITE: number = PageFlag.WRITABLE | PageFlag.CODE | PageFlag.LOGGED_CLEAN;

/**
 * One CPU's linear address space: the TLB, and what happens when it misses. Faults are noted in the state, never thrown here: these functions run below
 * WebAssembly frames.
 */
export class LinearMemory {
  readonly tlb: Tlb;
  readonly result: WalkResult = new WalkResult();
  /** What the last `locate` found: address in linear memory, or -1 where no plain RAM stands; and the guest-physical address. */
  host = -1;
  gpa = 0;
  misses = 0;
  /** The fault that was just reported is none: a device's answer is to be waited for. */
  waits = false;
  readonly memory: MachineMemory;
  readonly #host: EngineHost;
  readonly #registers: Registers;
  #space = 0;
  kind: AccessKind = AccessKind.SUPERVISOR;

  constructor(memory: MachineMemory, host: EngineHost) {
    this.memory = memory;
    this.#host = host;
    this.#registers = new Registers(memory, host.state);
    this.tlb = new Tlb(memory, host.state);
  }

  /** Selects the set that the state calls for. */
  select(): void {
    const registers = this.#registers;
    const ac = (registers.get32(State.eflags) & EFLAGS_AC) !== 0;
    const pcid = (registers.get32(State.cr4) & CR4_PCIDE) !== 0 ? registers.get32(State.cr3) & 0xfff : 0;
    this.#space = (this.#host.addressSpaceTag ?? 0) * PCIDS + pcid;
    if ((registers.get32(State.mode) & ModeBit.USER) !== 0) {
      this.kind = ac && (registers.get32(State.cr0) & CR0_AM) !== 0 ? AccessKind.USER_ALIGNED : AccessKind.USER;
    } else this.kind = ac && this.#host.paging.smap ? AccessKind.SUPERVISOR_AC : AccessKind.SUPERVISOR;
    this.tlb.select(this.#space, this.kind);
  }
  /** MOV CR3: what the current address space has cached goes, but for global pages if they are kept. */
  flushSpace(keepGlobal: boolean): void {
    this.tlb.clearSpace(this.#space, keepGlobal);
  }
  setFor(kind: AccessKind): TlbSet {
    return kind === this.kind ? this.tlb.current : this.tlb.setFor(this.#space, kind);
  }

  /** Notes a fault in the state. `errorCode` -1: none. */
  fault(vector: number, errorCode: number): void {
    const registers = this.#registers;
    registers.set32(State.faultVector, vector);
    registers.set32(State.faultError, Math.max(errorCode, 0));
    registers.set32(State.faultHasError, errorCode < 0 ? 0 : 1);
  }
  #pageFault(low: number, high: number): void {
    const { result } = this;
    if (result.fault === WalkFault.SECOND_STAGE) this.fault(SECOND_STAGE_FAULT, -1);
    else this.fault(Vector.PF, result.errorCode);
    this.#registers.set32(State.faultAddress, low);
    this.#registers.set32(State.faultAddress + 4, high);
  }

  /** Bits 63-47 (or 56 with 5-level paging) are all alike (SDM Vol. 1, 3.3.7.1). */
  isCanonical(high: number): boolean {
    const upper = high >> (this.#host.paging.topLevel === 5 ? 24 : 15);
    return upper === 0 || upper === -1;
  }

  /** The guest-physical address of a linear one, in `gpa`, without the TLB; false: a fault is noted. */
  translate(low: number, high: number, write: boolean, kind: AccessKind): boolean {
    const { result } = this;
    const { physical, paging, stage } = this.#host;
    if (!walk(paging, physical, low, high, accessOf(write, kind), stage ?? null, result)) {
      this.#pageFault(low, high);
      return false;
    }
    this.gpa = result.pa;
    return true;
  }
  /** A byte of guest-physical memory, for fetching from where no RAM stands. */
  readPhysical8(gpa: number): number {
    return this.#host.physical.read8(gpa);
  }

  /** Finds where the byte at a linear address stands, for reading or writing; fills the TLB; false: a fault is noted. */
  locate(low: number, high: number, write: boolean, kind: AccessKind): boolean {
    const set = this.setFor(kind);
    const known = set.find(low, high, 1, write);
    if (known >= 0) {
      this.host = known;
      return true;
    }
    this.misses++;
    const { result } = this;
    const { physical } = this.#host;
    if (!this.translate(low, high, write, kind)) return false;
    const page = physical.hostPage(result.pa);
    const watched = this.#host.watchesPage(low, high);
    if (page < 0 || (write && (physical.pageFlags(result.pa) & PageFlag.WRITABLE) === 0)) {
      this.host = -1;
      return true;
    }
    this.host = page + (low & 0xfff);
    if (watched || kind === AccessKind.USER_ALIGNED || (result.allowed & Access.READ) === 0) return true;
    if (result.level > 1) this.tlb.noteLargePage(low, high, result.level);
    if (!write) set.fill(low, high, page, false, result.global);
    else if ((result.allowed & Access.WRITE) !== 0 && (physical.pageFlags(result.pa) & FAST_WRITE) === PageFlag.WRITABLE)
      set.fill(low, high, page, true, result.global);
    return true;
  }

  /** Finds the page that an instruction is fetched from: its place in linear memory, -1 where no RAM stands (then see `gpa`), -2: a fault is noted. */
  locateCode(low: number, high: number): number {
    const set = this.tlb.current;
    const known = set.findFetch(low, high);
    if (known >= 0) return known;
    const { result } = this;
    const { physical, paging, stage } = this.#host;
    const user = this.kind === AccessKind.USER || this.kind === AccessKind.USER_ALIGNED;
    if (!walk(paging, physical, low, high, Access.EXECUTE | (user ? Access.USER : 0), stage ?? null, result)) {
      this.#pageFault(low, high);
      return -2;
    }
    this.gpa = result.pa;
    const page = physical.hostPage(result.pa);
    if (page >= 0) {
      if (result.level > 1) this.tlb.noteLargePage(low, high, result.level);
      set.fillFetch(low, high, page, result.global);
    }
    return page;
  }

  /** What every slow access begins with: canonical form and alignment. */
  check(low: number, high: number, bytes: number, segment: number, kind: AccessKind): boolean {
    const lastHigh = (low >>> 0) + bytes - 1 > 0xffff_ffff ? (high + 1) | 0 : high;
    if (!this.isCanonical(high) || !this.isCanonical(lastHigh)) {
      this.fault(segment === Segment.SS ? Vector.SS : Vector.GP, 0);
      return false;
    }
    if (kind === AccessKind.USER_ALIGNED && (low & (bytes - 1)) !== 0 && (bytes <= 8 || bytes === 16)) {
      this.fault(Vector.AC, 0);
      return false;
    }
    return true;
  }

  /** Copies `bytes` at a linear address to `to` in linear memory. The caller has checked its form. False: a fault is noted, nothing was read of a device. */
  read(low: number, high: number, bytes: number, kind: AccessKind, to: number): boolean {
    this.#watch(low, high, bytes, false);
    const first = Math.min(bytes, 0x1000 - (low & 0xfff));
    if (!this.locate(low, high, false, kind)) return false;
    const { host, gpa } = this;
    if (first < bytes) {
      const next = (low + first) | 0;
      if (!this.locate(next, this.#nextHigh(next, high), false, kind)) return false;
      if (!this.#mayRead(host, gpa, first) || !this.#mayRead(this.host, this.gpa, bytes - first)) return false;
      this.#readPart(this.host, this.gpa, bytes - first, to + first);
      this.#readPart(host, gpa, first, to);
      return true;
    }
    if (!this.#mayRead(host, gpa, bytes)) return false;
    this.#readPart(host, gpa, bytes, to);
    return true;
  }
  #mayRead(host: number, gpa: number, bytes: number): boolean {
    if (host >= 0 || (this.#host.gate?.mayRead(gpa, bytes) ?? true)) return true;
    this.waits = true;
    return false;
  }
  #readPart(host: number, gpa: number, bytes: number, to: number): void {
    const { memory } = this;
    if (host >= 0) {
      copyBytes(memory.u8, to, host, bytes);
      return;
    }
    const { physical } = this.#host;
    this.#event();
    if (bytes === 1) memory.u8[to] = physical.read8(gpa);
    else if (bytes === 2) memory.view.setUint16(to, physical.read16(gpa), true);
    else if (bytes === 4) memory.view.setUint32(to, physical.read32(gpa), true);
    else if (bytes % 8 === 0) {
      for (let at = 0; at < bytes; at += 8) {
        memory.view.setUint32(to + at, physical.read64Lo(gpa + at), true);
        memory.view.setUint32(to + at + 4, physical.hi, true);
      }
    } else for (let at = 0; at < bytes; at++) memory.u8[to + at] = physical.read8(gpa + at);
  }

  /** Makes sure that `bytes` at a linear address may be written (or read): false: a fault is noted. */
  probe(low: number, high: number, bytes: number, kind: AccessKind, write = true): boolean {
    if (!this.locate(low, high, write, kind)) return false;
    const first = 0x1000 - (low & 0xfff);
    if (first >= bytes) return true;
    const { host, gpa } = this;
    const next = (low + first) | 0;
    const ok = this.locate(next, this.#nextHigh(next, high), write, kind);
    this.host = host;
    this.gpa = gpa;
    return ok;
  }

  /** Writes `bytes` from `from` in linear memory to a linear address: all, or false and a fault is noted. */
  write(low: number, high: number, bytes: number, kind: AccessKind, from: number): boolean {
    this.#watch(low, high, bytes, true);
    const first = Math.min(bytes, 0x1000 - (low & 0xfff));
    if (first === bytes) {
      if (!this.locate(low, high, true, kind)) return false;
      this.#writePart(this.host, this.gpa, bytes, from);
      return true;
    }
    if (!this.probe(low, high, bytes, kind)) return false;
    const next = (low + first) | 0;
    this.#writePart(this.host, this.gpa, first, from);
    this.locate(next, this.#nextHigh(next, high), true, kind);
    this.#writePart(this.host, this.gpa, bytes - first, from + first);
    return true;
  }
  #writePart(host: number, gpa: number, bytes: number, from: number): void {
    const { memory } = this;
    if (host >= 0) {
      copyBytes(memory.u8, host, from, bytes);
      if (memory.marks.pageFlags[host >>> 12] !== 0) memory.marks.written(host, bytes);
      return;
    }
    const { physical, gate } = this.#host;
    const { view, u8 } = memory;
    this.#event();
    gate?.willWrite?.(gpa, bytes);
    if (bytes === 1) physical.write8(gpa, u8[from] as number);
    else if (bytes === 2) physical.write16(gpa, view.getUint16(from, true));
    else if (bytes === 4) physical.write32(gpa, view.getUint32(from, true));
    else if (bytes % 8 === 0) {
      for (let at = 0; at < bytes; at += 8)
        physical.write64Parts(gpa + at, view.getUint32(from + at, true), view.getUint32(from + at + 4, true));
    } else for (let at = 0; at < bytes; at++) physical.write8(gpa + at, u8[from + at] as number);
  }

  #nextHigh(next: number, high: number): number {
    if (next !== 0) return high;
    return (this.#registers.get32(State.mode) & ModeBit.LONG) !== 0 && (this.#registers.get32(State.mode) & 3) === 2 ? (high + 1) | 0 : 0;
  }
  /** High half of the linear address so many bytes on, at the start of the next page. */
  highAfter(low: number, high: number, bytes: number): number {
    return this.#nextHigh((low + bytes) | 0, high);
  }
  /** Whether a data breakpoint may stand on some of the bytes: one stands on their pages. Leaves no trace, as `watches` does. */
  isWatched(low: number, high: number, bytes: number): boolean {
    const last = (low + bytes - 1) | 0;
    return (
      this.#host.watchesPage(low, high) || ((last ^ low) >>> 12 !== 0 && this.#host.watchesPage(last, this.highAfter(low, high, bytes)))
    );
  }
  #watch(low: number, high: number, bytes: number, write: boolean): void {
    if (this.#host.watches(low, high, bytes, write)) this.#event();
  }
  #event(): void {
    this.#registers.set32(State.leave, this.#registers.get32(State.leave) | Leave.EVENT);
  }
}

/** The `Access` flags of a data access. */
function accessOf(write: boolean, kind: AccessKind): number {
  const by = kind === AccessKind.USER || kind === AccessKind.USER_ALIGNED ? Access.USER : kind === AccessKind.SUPERVISOR_AC ? Access.AC : 0;
  return (write ? Access.WRITE : Access.READ) | by;
}
