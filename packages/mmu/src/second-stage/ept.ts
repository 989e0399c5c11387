import { ACCESS_KINDS, Access } from '../access.ts';
import { TableKind, type WalkRecorder } from '../explain/recorder.ts';
import { entryAddress, offsetMaskOf, pageAddress, tableIndex } from '../paging-entry.ts';
import type { PhysicalMemory } from '../physical-memory.ts';
import { Reason } from '../reason.ts';
import type { EptControls } from './ept-controls.ts';
import { type SecondStage, StageFault, StageResult } from './second-stage.ts';

const R = 1 << 0;
const W = 1 << 1;
const X = 1 << 2;
const PAGE = 1 << 7;
const A = 1 << 8;
const D = 1 << 9;
const XU = 1 << 10;

/** Bits of the exit qualification of an EPT violation (SDM Vol. 3C, "Exit Qualification for EPT Violations"). */
export const EptViolation = {
  READ: 0x1,
  WRITE: 0x2,
  FETCH: 0x4,
  /** The entries allow reads (all of them, of a translation that is present). */
  READABLE: 0x8,
  WRITABLE: 0x10,
  /** With mode-based execute control: for supervisor-mode linear addresses. */
  EXECUTABLE: 0x20,
  /** With mode-based execute control only. */
  USER_EXECUTABLE: 0x40,
  /** The guest linear-address field is valid. */
  LINEAR_VALID: 0x80,
  /** The access was to the translation of the linear address; 0: to a paging-structure entry. Only with LINEAR_VALID. */
  TRANSLATION: 0x100,
  /** With advanced information only, and TRANSLATION: a user-mode linear address. */
  LINEAR_USER: 0x200,
  /** Likewise: a read/write linear address. */
  LINEAR_WRITABLE: 0x400,
  /** Likewise: an execute-disable linear address. */
  LINEAR_XD: 0x800,
} as const;

/** Page-modification logging (SDM Vol. 3C 29.3.6). */
export interface PageModificationLog {
  /** Asked before an accessed or a dirty flag is set. True: the access ends with `StageFault.PML_FULL`, the flag stays. */
  isFull(): boolean;
  /** A dirty flag went from 0 to 1: logs the guest-physical page. */
  write(gpa: number): void;
}

/** What an `EptStage` may be given besides tables and memory. */
export interface EptOptions {
  readonly pageModificationLog?: PageModificationLog;
  /** Where the EPT tables and what they map stand in another stage's guest-physical memory. */
  readonly below?: SecondStage;
}

/** The extended page-table mechanism (SDM Vol. 3C 29.3 "The Extended Page Table Mechanism (EPT)") as a second stage. */
export class EptStage implements SecondStage {
  readonly #controls: EptControls;
  readonly #memory: PhysicalMemory;
  readonly #log: PageModificationLog | null;
  readonly #below: SecondStage | null;
  readonly #belowResult: StageResult = new StageResult();

  constructor(controls: EptControls, memory: PhysicalMemory, options: EptOptions = {}) {
    this.#controls = controls;
    this.#memory = memory;
    this.#log = options.pageModificationLog ?? null;
    this.#below = options.below ?? null;
  }

  translate(gpa: number, access: number, result: StageResult, recorder: WalkRecorder | null): boolean {
    result.gpa = gpa;
    result.access = access;
    result.qualification = result.errorCode = result.errorCodeHigh = 0;
    result.below = null;
    // 29.3.2: with accessed and dirty flags, accesses to guest paging-structure entries are writes. An exit qualification then says both.
    const asWrite = this.#controls.accessedDirty && (access & Access.TABLE) !== 0;
    const kinds = asWrite ? Access.READ | Access.WRITE : access & ACCESS_KINDS;
    let end: number;
    do end = this.#walk(gpa, kinds, access, result, recorder);
    while (end === RETRY);
    result.fault = end;
    if (end === StageFault.NONE) result.reason = Reason.NONE;
    return end === StageFault.NONE;
  }

  /** Returns a `StageFault`, or RETRY. */
  #walk(gpa: number, kinds: number, access: number, result: StageResult, recorder: WalkRecorder | null): number {
    const controls = this.#controls;
    const hi32 = Math.floor(gpa / 2 ** 32);
    if (controls.levels === 4 && hi32 >= 1 << 16) return this.#violation(Reason.EPT_ADDRESS_WIDTH, kinds, access, 0, result);
    const presentBits = controls.modeBasedExecute ? R | W | X | XU : R | W | X;
    let table = controls.root;
    let rights = R | W | X | XU;
    for (let level: number = controls.levels; ; level--) {
      const at = table + tableIndex(level, gpa | 0, hi32) * 8;
      if (this.#below !== null && !this.#askBelow(at, Access.READ, access, result, recorder)) return StageFault.BELOW;
      const lo = this.#memory.read64Lo(this.#below === null ? at : this.#belowResult.pa) | 0;
      const hi = this.#memory.hi | 0;
      recorder?.entry(TableKind.EPT, level, at, lo, hi);

      if ((lo & presentBits) === 0) return this.#violation(Reason.EPT_NOT_PRESENT, kinds, access, 0, result);
      const leaf = level === 1 || ((lo & PAGE) !== 0 && controls.largePages[level] === 1);
      const wrong = misconfiguration(controls, lo, hi, level, leaf);
      if (wrong !== Reason.NONE) {
        result.reason = wrong;
        return StageFault.EPT_MISCONFIGURATION;
      }
      rights &= lo;

      if (leaf) {
        const executable = controls.modeBasedExecute && (access & Access.LINEAR_USER) !== 0 ? XU : X;
        const allowed = (rights & (R | W)) | ((rights & executable) !== 0 ? Access.EXECUTE : 0);
        const refused = kinds & ~allowed;
        if (refused !== 0) return this.#violation(refusal(refused), kinds, access, rights, result);

        let dirty = !controls.accessedDirty || (lo & D) !== 0;
        if (controls.accessedDirty) {
          const flags = (kinds & Access.WRITE) !== 0 ? A | D : A;
          if ((lo & flags) !== flags) {
            const end = this.#setFlags(at, lo, flags, access, result, recorder);
            if (end !== StageFault.NONE) return end;
            dirty ||= (flags & D) !== 0 && (access & Access.INSPECT) === 0;
          }
        }
        const offsetMask = offsetMaskOf(level);
        result.pa = pageAddress(lo, hi, offsetMask, gpa | 0);
        result.pageBytes = offsetMask + 1;
        result.allowed = dirty ? allowed : allowed & ~Access.WRITE;
        result.memoryType = (lo >>> 3) & 7;
        result.ignorePat = (lo & 0x40) !== 0;
        return this.#below === null ? StageFault.NONE : this.#throughBelow(access, result, recorder);
      }
      if (controls.accessedDirty && (lo & A) === 0) {
        const end = this.#setFlags(at, lo, A, access, result, recorder);
        if (end !== StageFault.NONE) return end;
      }
      table = entryAddress(lo, hi);
    }
  }

  /** 29.3.5 "Accessed and Dirty Flags for EPT". */
  #setFlags(at: number, lo: number, flags: number, access: number, result: StageResult, recorder: WalkRecorder | null): number {
    if (this.#below !== null && !this.#askBelow(at, Access.READ | Access.WRITE, access, result, recorder)) return StageFault.BELOW;
    recorder?.update(at, lo | flags);
    if ((access & Access.INSPECT) !== 0) return StageFault.NONE;
    if (this.#log?.isFull() === true) {
      result.reason = Reason.EPT_PML_FULL;
      return StageFault.PML_FULL;
    }
    const pa = this.#below === null ? at : this.#belowResult.pa;
    const memory = this.#memory;
    if (memory.compareExchange32 === undefined) memory.write32(pa, lo | flags);
    else if (!memory.compareExchange32(pa, lo, lo | flags)) return RETRY;
    if ((flags & ~lo & D) !== 0) this.#log?.write(result.gpa - (result.gpa % 4096));
    return StageFault.NONE;
  }

  #askBelow(at: number, kind: number, access: number, result: StageResult, recorder: WalkRecorder | null): boolean {
    const below = this.#belowResult;
    recorder?.enterStage(at, kind);
    const how = Access.TABLE | (access & (Access.INSPECT | Access.NO_LINEAR));
    const reached = this.#below!.translate(at, kind | how, below, recorder);
    recorder?.leaveStage(below);
    if (!reached) {
      result.below = below;
      result.reason = below.reason;
    }
    return reached;
  }

  /** The address that this stage found is one of the stage below. */
  #throughBelow(access: number, result: StageResult, recorder: WalkRecorder | null): number {
    const below = this.#belowResult;
    recorder?.enterStage(result.pa, access);
    const translated = this.#below!.translate(result.pa, access, below, recorder);
    recorder?.leaveStage(below);
    if (!translated) {
      result.below = below;
      result.reason = below.reason;
      return StageFault.BELOW;
    }
    result.pa = below.pa;
    result.allowed &= below.allowed;
    if (below.pageBytes < result.pageBytes) result.pageBytes = below.pageBytes;
    return StageFault.NONE;
  }

  /** `rights`: bits of the entries, ANDed; 0 if one was not present. */
  #violation(reason: number, kinds: number, access: number, rights: number, result: StageResult): number {
    const controls = this.#controls;
    let qualification = kinds | ((rights & (R | W | X)) << 3);
    if (controls.modeBasedExecute && (rights & XU) !== 0) qualification |= EptViolation.USER_EXECUTABLE;
    if ((access & Access.NO_LINEAR) === 0) {
      qualification |= EptViolation.LINEAR_VALID;
      if ((access & Access.TABLE) === 0) {
        qualification |= EptViolation.TRANSLATION;
        if (controls.advancedExitInformation) {
          if ((access & Access.LINEAR_USER) !== 0) qualification |= EptViolation.LINEAR_USER;
          if ((access & Access.LINEAR_WRITABLE) !== 0) qualification |= EptViolation.LINEAR_WRITABLE;
          if ((access & Access.LINEAR_XD) !== 0) qualification |= EptViolation.LINEAR_XD;
        }
      }
    }
    result.qualification = qualification;
    result.reason = reason;
    return StageFault.EPT_VIOLATION;
  }
}

/** The entry changed under a locked update. */
const RETRY = -1;

/** SDM Vol. 3C 29.3.3.1 "EPT Misconfigurations", of a present entry; a `Reason`, or NONE. */
function misconfiguration(controls: EptControls, lo: number, hi: number, level: number, leaf: boolean): number {
  if ((lo & R) === 0) {
    if ((lo & W) !== 0) return Reason.EPT_WRITE_WITHOUT_READ;
    if (!controls.executeOnly) return Reason.EPT_EXECUTE_ONLY;
  }
  const reservedLo = leaf ? controls.reservedLeafLo[level]! : controls.reservedTableLo[level]!;
  if ((hi & controls.reservedHi) !== 0 || (lo & reservedLo) !== 0) return Reason.EPT_RESERVED_BIT;
  if (leaf) {
    const memoryType = (lo >>> 3) & 7;
    if (memoryType === 2 || memoryType === 3 || memoryType === 7) return Reason.EPT_MEMORY_TYPE;
  }
  return Reason.NONE;
}

function refusal(refused: number): number {
  if ((refused & Access.EXECUTE) !== 0) return Reason.EPT_NOT_EXECUTABLE;
  return (refused & Access.WRITE) !== 0 ? Reason.EPT_NOT_WRITABLE : Reason.EPT_NOT_READABLE;
}
