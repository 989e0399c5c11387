import { ACCESS_KINDS, Access } from '../access.ts';
import { TableKind, type WalkRecorder } from '../explain/recorder.ts';
import { entryAddress, offsetMaskOf, pageAddress, tableIndex } from '../paging-entry.ts';
import type { PhysicalMemory } from '../physical-memory.ts';
import { Reason } from '../reason.ts';
import type { SecondStage } from '../second-stage/second-stage.ts';
import { PageFaultError } from './page-fault.ts';
import { type PagingControls, pdpteHasReservedBits } from './paging-controls.ts';
import { WalkFault, type WalkResult } from './walk-result.ts';

const P = 1 << 0;
const RW = 1 << 1;
const US = 1 << 2;
const A = 1 << 5;
const D = 1 << 6;
const PS = 1 << 7;
const G = 1 << 8;

// How a pass over the tables ended.
const FAULT = 0;
const DONE = 1;
const RETRY = 2;

/**
 * Translates a linear address (SDM Vol. 3A chapter 4 "Paging"): walks the tables, checks the access, sets A and D flags, and
 * takes every guest-physical access through the second stage, if one is given.
 *
 * A flags of entries that reference a table are set as the walk uses them, also when it faults further down (4.8 leaves this to the
 * processor); those of the page, and D, once the access is known to be allowed by the guest's tables. Whether a 64-bit address is
 * canonical is the caller's question: bits above those that the mode translates are ignored. Protection keys are not implemented.
 *
 * @param controls paging mode and control bits
 * @param memory host-physical memory (guest-physical, without a second stage)
 * @param vaLo bits 31:0 of the linear address, signed or unsigned
 * @param vaHi bits 63:32, signed or unsigned; not looked at outside 4- and 5-level paging
 * @param access `Access` flags
 * @param stage the second stage, or null
 * @param result filled
 * @param recorder told of each step, or null
 * @returns `result.ok`
 */
export function walk(
  controls: PagingControls,
  memory: PhysicalMemory,
  vaLo: number,
  vaHi: number,
  access: number,
  stage: SecondStage | null,
  result: WalkResult,
  recorder: WalkRecorder | null = null,
): boolean {
  for (;;) {
    result.ok = false;
    result.fault = WalkFault.NONE;
    result.reason = Reason.NONE;
    result.errorCode = 0;
    result.level = 0;
    result.stageOnTable = false;
    const end =
      controls.topLevel === 0
        ? unpaged(vaLo >>> 0, access, stage, result, recorder)
        : controls.wideEntries
          ? walkWide(controls, memory, vaLo, vaHi, access, stage, result, recorder)
          : walk32(controls, memory, vaLo, access, stage, result, recorder);
    if (end !== RETRY) return (result.ok = end === DONE);
  }
}

/** CR0.PG = 0: linear addresses are physical addresses. */
function unpaged(address: number, access: number, stage: SecondStage | null, result: WalkResult, recorder: WalkRecorder | null): number {
  result.gpa = address;
  result.pageBytes = 4096;
  result.allowed = ACCESS_KINDS;
  result.user = result.writable = result.executable = result.dirty = true;
  result.global = false;
  result.patIndex = 0;
  return finalAccess(access, stage, result, recorder);
}

/** SDM Vol. 3A 4.3 "32-Bit Paging": two levels of 4-byte entries. */
function walk32(
  controls: PagingControls,
  memory: PhysicalMemory,
  vaLo: number,
  access: number,
  stage: SecondStage | null,
  result: WalkResult,
  recorder: WalkRecorder | null,
): number {
  const pdeGpa = controls.root + (vaLo >>> 22) * 4;
  result.level = 2;
  if (stage !== null && !reachEntry(pdeGpa, Access.READ, access, stage, result, recorder)) return FAULT;
  const pdePa = stage === null ? pdeGpa : result.stage.pa;
  const pde = memory.read32(pdePa) | 0;
  recorder?.entry(TableKind.GUEST, 2, pdeGpa, pde, 0);
  if ((pde & P) === 0) return pageFault(controls, access, Reason.NOT_PRESENT, 0, result);

  if ((pde & PS) !== 0 && controls.pse) {
    if ((pde & controls.reservedLeafLo[2]!) !== 0) return pageFault(controls, access, Reason.RESERVED_BIT, RSVD_FAULT, result);
    // Bits 20:13 of the PDE are bits 39:32 of the address; what PSE-36 or MAXPHYADDR leaves out was checked above.
    result.gpa = ((pde >>> 13) & 0xff) * 2 ** 32 + ((pde & 0xffc0_0000) >>> 0) + (vaLo & 0x3f_ffff);
    return finish(controls, memory, pdeGpa, pde, pde, 0, 2 ** 22, access, stage, result, recorder);
  }

  if ((pde & A) === 0) {
    const end = setFlags(memory, pdeGpa, pde, A, access, stage, result, recorder);
    if (end !== DONE) return end;
  }
  const pteGpa = ((pde & 0xffff_f000) >>> 0) + ((vaLo >>> 12) & 1023) * 4;
  result.level = 1;
  if (stage !== null && !reachEntry(pteGpa, Access.READ, access, stage, result, recorder)) return FAULT;
  const ptePa = stage === null ? pteGpa : result.stage.pa;
  const pte = memory.read32(ptePa) | 0;
  recorder?.entry(TableKind.GUEST, 1, pteGpa, pte, 0);
  if ((pte & P) === 0) return pageFault(controls, access, Reason.NOT_PRESENT, 0, result);
  result.gpa = ((pte & 0xffff_f000) >>> 0) + (vaLo & 4095);
  return finish(controls, memory, pteGpa, pte, pte & pde, 0, 4096, access, stage, result, recorder);
}

/** SDM Vol. 3A 4.4 "PAE Paging" and 4.5 "4-Level Paging and 5-Level Paging": 8-byte entries. */
function walkWide(
  controls: PagingControls,
  memory: PhysicalMemory,
  vaLo: number,
  vaHi: number,
  access: number,
  stage: SecondStage | null,
  result: WalkResult,
  recorder: WalkRecorder | null,
): number {
  let level = controls.topLevel;
  let table = controls.root;
  if (level === 3) {
    // A PDPTE register: no R/W, U/S, XD or A flag. MOV to CR3 has refused reserved bits; should one be here all the same, it faults as any other.
    const at = (vaLo >>> 30) * 2;
    const lo = controls.pdptes[at]!;
    const hi = controls.pdptes[at + 1]!;
    result.level = 3;
    recorder?.entry(TableKind.GUEST, 3, -1, lo, hi);
    if ((lo & P) === 0) return pageFault(controls, access, Reason.NOT_PRESENT, 0, result);
    if (pdpteHasReservedBits(lo, hi, controls.maxPhyAddr)) return pageFault(controls, access, Reason.RESERVED_BIT, RSVD_FAULT, result);
    table = entryAddress(lo, hi);
    level = 2;
  }

  let rights = RW | US;
  let anyHi = 0;
  for (; ; level--) {
    const gpa = table + tableIndex(level, vaLo, vaHi) * 8;
    result.level = level;
    if (stage !== null && !reachEntry(gpa, Access.READ, access, stage, result, recorder)) return FAULT;
    const pa = stage === null ? gpa : result.stage.pa;
    const lo = memory.read64Lo(pa) | 0;
    const hi = memory.hi | 0;
    recorder?.entry(TableKind.GUEST, level, gpa, lo, hi);
    if ((lo & P) === 0) return pageFault(controls, access, Reason.NOT_PRESENT, 0, result);

    const leaf = level === 1 || ((lo & PS) !== 0 && level <= controls.maxLeafLevel);
    const reservedLo = leaf ? controls.reservedLeafLo[level]! : controls.reservedTableLo[level]!;
    if ((hi & controls.reservedHi) !== 0 || (lo & reservedLo) !== 0) {
      return pageFault(controls, access, Reason.RESERVED_BIT, RSVD_FAULT, result);
    }
    rights &= lo;
    anyHi |= hi;

    if (leaf) {
      const offsetMask = offsetMaskOf(level);
      result.gpa = pageAddress(lo, hi, offsetMask, vaLo);
      return finish(controls, memory, gpa, lo, rights, anyHi, offsetMask + 1, access, stage, result, recorder);
    }
    if ((lo & A) === 0) {
      const end = setFlags(memory, gpa, lo, A, access, stage, result, recorder);
      if (end !== DONE) return end;
    }
    table = entryAddress(lo, hi);
  }
}

/**
 * The kinds of access that SDM Vol. 3A 4.6.1 "Determination of Access Rights" allows to an address. Protection keys would take
 * READ and WRITE away here.
 */
function allowedKinds(controls: PagingControls, access: number, user: boolean, writable: boolean, executable: boolean): number {
  if (isUserAccess(access)) return user ? Access.READ | (writable ? Access.WRITE : 0) | (executable ? Access.EXECUTE : 0) : 0;
  const data = smapRefuses(controls, access, user) ? 0 : Access.READ | (writable || !controls.wp ? Access.WRITE : 0);
  return data | (executable && !(controls.smep && user) ? Access.EXECUTE : 0);
}

/** CR4.SMAP, for a supervisor-mode data access: user-mode addresses need EFLAGS.AC = 1, and an explicit access. */
function smapRefuses(controls: PagingControls, access: number, user: boolean): boolean {
  return controls.smap && user && (access & (Access.AC | Access.IMPLICIT)) !== Access.AC;
}

function isUserAccess(access: number): boolean {
  return (access & (Access.USER | Access.IMPLICIT)) === Access.USER;
}

/** Which rule refused `refused`, the kinds of access that were asked for and not allowed. */
function refusal(controls: PagingControls, access: number, refused: number, user: boolean, executable: boolean): number {
  if (isUserAccess(access) && !user) return Reason.SUPERVISOR_ADDRESS;
  if ((refused & Access.EXECUTE) !== 0) return executable ? Reason.SMEP : Reason.EXECUTE_DISABLE;
  return !isUserAccess(access) && smapRefuses(controls, access, user) ? Reason.SMAP : Reason.READ_ONLY;
}

/** The page is found, `result.gpa` is set: check the access, set A and D, go through the second stage. */
function finish(
  controls: PagingControls,
  memory: PhysicalMemory,
  entryGpa: number,
  lo: number,
  rights: number,
  anyHi: number,
  pageBytes: number,
  access: number,
  stage: SecondStage | null,
  result: WalkResult,
  recorder: WalkRecorder | null,
): number {
  const user = (rights & US) !== 0;
  const writable = (rights & RW) !== 0;
  const executable = !(controls.xd && anyHi < 0);
  const allowed = allowedKinds(controls, access, user, writable, executable);
  result.user = user;
  result.writable = writable;
  result.executable = executable;
  result.dirty = (lo & D) !== 0;
  result.global = (lo & G) !== 0 && controls.pge;
  result.pageBytes = pageBytes;
  const pat = result.level === 1 ? (lo >>> 7) & 1 : (lo >>> 12) & 1;
  result.patIndex = pat * 4 + ((lo >>> 3) & 3);

  const refused = access & ACCESS_KINDS & ~allowed;
  if (refused !== 0) return pageFault(controls, access, refusal(controls, access, refused, user, executable), PageFaultError.P, result);

  const flags = (access & Access.WRITE) !== 0 ? A | D : A;
  if ((lo & flags) !== flags) {
    const end = setFlags(memory, entryGpa, lo, flags, access, stage, result, recorder);
    if (end !== DONE) return end;
    if ((access & Access.INSPECT) === 0) result.dirty ||= (flags & D) !== 0;
  }
  result.allowed = result.dirty ? allowed : allowed & ~Access.WRITE;
  return finalAccess(access, stage, result, recorder);
}

/** The access to `result.gpa` itself. */
function finalAccess(access: number, stage: SecondStage | null, result: WalkResult, recorder: WalkRecorder | null): number {
  if (stage === null) {
    result.pa = result.gpa;
    return DONE;
  }
  const linear =
    (result.user ? Access.LINEAR_USER : 0) | (result.writable ? Access.LINEAR_WRITABLE : 0) | (result.executable ? 0 : Access.LINEAR_XD);
  if (!askStage(result.gpa, access | linear, stage, result, recorder)) return FAULT;
  result.pa = result.stage.pa;
  result.allowed &= result.stage.allowed;
  if (result.stage.pageBytes < result.pageBytes) result.pageBytes = result.stage.pageBytes;
  return DONE;
}

/** Takes an access to a guest paging-structure entry through the second stage; the address is then in `result.stage.pa`. */
function reachEntry(
  gpa: number,
  kind: number,
  access: number,
  stage: SecondStage,
  result: WalkResult,
  recorder: WalkRecorder | null,
): boolean {
  const how = access & (Access.INSPECT | Access.NO_LINEAR);
  if (askStage(gpa, kind | Access.TABLE | how, stage, result, recorder)) return true;
  result.stageOnTable = true;
  return false;
}

function askStage(gpa: number, access: number, stage: SecondStage, result: WalkResult, recorder: WalkRecorder | null): boolean {
  recorder?.enterStage(gpa, access);
  const translated = stage.translate(gpa, access, result.stage, recorder);
  recorder?.leaveStage(result.stage);
  if (translated) return true;
  result.gpa = gpa;
  result.fault = WalkFault.SECOND_STAGE;
  return false;
}

/** Sets A and D flags in the entry at `gpa` (SDM Vol. 3A 4.8 "Accessed and Dirty Flags"): a write through the second stage. INSPECT asks for it, and leaves it. */
function setFlags(
  memory: PhysicalMemory,
  gpa: number,
  lo: number,
  flags: number,
  access: number,
  stage: SecondStage | null,
  result: WalkResult,
  recorder: WalkRecorder | null,
): number {
  if (stage !== null && !reachEntry(gpa, Access.READ | Access.WRITE, access, stage, result, recorder)) return FAULT;
  recorder?.update(gpa, lo | flags);
  if ((access & Access.INSPECT) !== 0) return DONE;
  const pa = stage === null ? gpa : result.stage.pa;
  if (memory.compareExchange32 === undefined) memory.write32(pa, lo | flags);
  else if (!memory.compareExchange32(pa, lo, lo | flags)) return RETRY;
  return DONE;
}

const RSVD_FAULT = PageFaultError.P | PageFaultError.RSVD;

/** SDM Vol. 3A 4.7 "Page-Fault Exceptions". `how` holds P and RSVD. */
function pageFault(controls: PagingControls, access: number, reason: number, how: number, result: WalkResult): number {
  result.fault = WalkFault.PAGE_FAULT;
  result.reason = reason;
  result.errorCode =
    how |
    ((access & Access.WRITE) !== 0 ? PageFaultError.W : 0) |
    (isUserAccess(access) ? PageFaultError.U : 0) |
    ((access & Access.EXECUTE) !== 0 && controls.reportsFetch ? PageFaultError.I : 0);
  return FAULT;
}
