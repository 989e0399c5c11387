import type { WalkRecorder } from '../explain/recorder.ts';

/** Why a second stage refused an access. */
export const StageFault = {
  NONE: 0,
  /** VM exit with basic reason 48; `qualification` is its exit qualification. */
  EPT_VIOLATION: 1,
  /** VM exit with basic reason 49. */
  EPT_MISCONFIGURATION: 2,
  /** VM exit with basic reason 62: D would be set, but the page-modification log has no room. Nothing was changed. */
  PML_FULL: 3,
  /** #VMEXIT(NPF); `errorCode` and `errorCodeHigh` are EXITINFO1. */
  NESTED_PAGE_FAULT: 4,
  /** The stage's own tables or target stand in another stage's address space, and that one refused: see `below`. */
  BELOW: 5,
} as const;

/** What a second stage answers: preallocated by its user, filled by `SecondStage.translate`. */
export class StageResult {
  /** Host-physical address, bytes; meaningful without a fault. */
  pa = 0;
  /** Bytes of the page that maps the address: the low bits of gpa and pa below it agree. */
  pageBytes = 0;
  /** `Access` kinds that may be cached for this page: no WRITE where the next write has to set a D flag first. */
  allowed = 0;
  /** One of `StageFault`, NONE if translated. */
  fault = 0;
  /** Why, as one of `Reason`. */
  reason = 0;
  /** The guest-physical address asked for, bytes. */
  gpa = 0;
  /** The access asked for, as `Access` flags. */
  access = 0;
  /** Exit qualification of an EPT violation (SDM Vol. 3C "Exit Qualification for EPT Violations"), bits 11:0. */
  qualification = 0;
  /** EXITINFO1 of a nested page fault, bits 31:0 (APM Vol. 2 15.25.6 "Nested versus Guest Page Faults"). */
  errorCode = 0;
  /** The same, bits 63:32. */
  errorCodeHigh = 0;
  /** EPT memory type of the page: 0 UC, 1 WC, 4 WT, 5 WP, 6 WB. WB where the stage has none. */
  memoryType = 6;
  /** EPT "ignore PAT" of the page. */
  ignorePat = false;
  /** With the fault BELOW: the answer of the stage below. Belongs to the stage, and holds until its next translation. */
  below: StageResult | null = null;
}

/**
 * From guest-physical to host-physical addresses: identity, EPT, NPT, or yours. A walk calls it for every guest-physical
 * access it makes, table entries (with `Access.TABLE`) and the final one.
 */
export interface SecondStage {
  /**
   * @param gpa guest-physical address, bytes, below 2^52
   * @param access `Access` flags
   * @param result filled; `gpa` and `access` are copied in
   * @param recorder told of each entry that is read, unless null
   * @returns true if the access is allowed; false with `result.fault` and its details
   */
  translate(gpa: number, access: number, result: StageResult, recorder: WalkRecorder | null): boolean;
}

/** The stage that leaves every address as it is and allows everything. */
export const identityStage: SecondStage = {
  translate(gpa: number, access: number, result: StageResult): boolean {
    result.pa = result.gpa = gpa;
    result.access = access;
    result.pageBytes = 2 ** 30;
    result.allowed = 7;
    result.fault = result.reason = result.qualification = result.errorCode = result.errorCodeHigh = 0;
    result.memoryType = 6;
    result.ignorePat = false;
    result.below = null;
    return true;
  },
};
