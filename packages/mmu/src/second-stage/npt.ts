import { ACCESS_KINDS, Access } from '../access.ts';
import type { WalkRecorder } from '../explain/recorder.ts';
import { PageFaultError } from '../guest/page-fault.ts';
import type { PagingControls } from '../guest/paging-controls.ts';
import { walk } from '../guest/walk.ts';
import { WalkFault, WalkResult } from '../guest/walk-result.ts';
import type { PhysicalMemory } from '../physical-memory.ts';
import { Reason } from '../reason.ts';
import { type SecondStage, StageFault, type StageResult } from './second-stage.ts';

/** Bits 63:32 of the NPF error code in EXITINFO1 (APM Vol. 2 15.25.6 "Nested versus Guest Page Faults, Fault Ordering"); bits 4:0 are `PageFaultError`. */
export const NpfErrorHigh = {
  /** Bit 32: the fault was on the guest's final physical address. */
  FINAL: 0x1,
  /** Bit 33: the fault was on an access to a guest page table. */
  TABLE: 0x2,
} as const;

/**
 * Nested paging (APM Vol. 2 15.25 "Nested Paging") as a second stage: an ordinary walk of the host's paging mode, from nCR3, in
 * which every access is a user access, and every access to a guest page table a write.
 */
export class NptStage implements SecondStage {
  readonly #controls: PagingControls;
  readonly #memory: PhysicalMemory;
  readonly #below: SecondStage | null;
  readonly #walk: WalkResult = new WalkResult();
  /** Guest-physical addresses stop here, bytes. */
  readonly #limit: number;

  /**
   * @param controls the host's paging mode and IA32_EFER.NXE, with nCR3 as root
   * @param below where nested tables and what they map stand in another stage's guest-physical memory
   */
  constructor(controls: PagingControls, memory: PhysicalMemory, below: SecondStage | null = null) {
    this.#controls = controls;
    this.#memory = memory;
    this.#below = below;
    this.#limit = controls.kind === '5-level' ? 2 ** 52 : controls.kind === '4-level' ? 2 ** 48 : 2 ** 32;
  }

  translate(gpa: number, access: number, result: StageResult, recorder: WalkRecorder | null): boolean {
    const onTable = (access & Access.TABLE) !== 0;
    const kinds = onTable ? Access.READ | Access.WRITE : access & ACCESS_KINDS;
    const nested = this.#walk;
    result.gpa = gpa;
    result.access = access;
    result.qualification = 0;
    result.errorCode = 0;
    result.errorCodeHigh = 0;
    result.memoryType = 6;
    result.ignorePat = false;
    result.below = null;

    if (gpa >= this.#limit) {
      result.reason = Reason.NPT_ADDRESS_WIDTH;
      result.errorCode =
        PageFaultError.U |
        ((kinds & Access.WRITE) !== 0 ? PageFaultError.W : 0) |
        ((kinds & Access.EXECUTE) !== 0 && this.#controls.reportsFetch ? PageFaultError.I : 0);
      return this.#nestedPageFault(onTable, result);
    }
    const how = Access.USER | (access & (Access.INSPECT | Access.NO_LINEAR));
    if (walk(this.#controls, this.#memory, gpa | 0, Math.floor(gpa / 2 ** 32), kinds | how, this.#below, nested, recorder)) {
      result.pa = nested.pa;
      result.pageBytes = nested.pageBytes;
      result.allowed = nested.allowed;
      result.fault = StageFault.NONE;
      result.reason = Reason.NONE;
      return true;
    }
    if (nested.fault === WalkFault.SECOND_STAGE) {
      result.fault = StageFault.BELOW;
      result.reason = nested.stage.reason;
      result.below = nested.stage;
      return false;
    }
    result.reason = nested.reason;
    result.errorCode = nested.errorCode;
    return this.#nestedPageFault(onTable, result);
  }

  #nestedPageFault(onTable: boolean, result: StageResult): false {
    result.fault = StageFault.NESTED_PAGE_FAULT;
    result.errorCodeHigh = onTable ? NpfErrorHigh.TABLE : NpfErrorHigh.FINAL;
    return false;
  }
}
