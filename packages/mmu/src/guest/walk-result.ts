import { StageResult } from '../second-stage/second-stage.ts';

/** How a walk ended. */
export const WalkFault = {
  NONE: 0,
  /** #PF for the guest, with `errorCode`; the linear address goes to CR2. */
  PAGE_FAULT: 1,
  /** The second stage refused a guest-physical access: `stage` says which and why, `stageOnTable` whether to a table entry. */
  SECOND_STAGE: 2,
} as const;

/** What `walk` answers: make one, pass it to every walk. All fields are numbers and booleans; those after `fault` hold what was last found. */
export class WalkResult {
  ok = false;
  /** Physical address: of the host, when a second stage is given. */
  pa = 0;
  /** Guest-physical address: what the guest's tables say. Equals `pa` without a second stage. */
  gpa = 0;
  /** Bytes of the effective page: the smaller of the guest's and the second stage's. */
  pageBytes = 0;

  /**
   * `Access` kinds that a TLB may cache for accesses of this privilege (user; supervisor; supervisor with AC) to this page, over
   * both stages. WRITE only if every D flag that a write sets is set.
   */
  allowed = 0;
  /** U/S: a user-mode address. */
  user = false;
  /** R/W is 1 in every entry. */
  writable = false;
  /** No entry's XD is 1. */
  executable = false;
  /** The D flag of the guest's page is set (now). */
  dirty = false;
  /** The G flag, if CR4.PGE is 1. */
  global = false;
  /** Index into the PAT: PAT * 4 + PCD * 2 + PWT (SDM Vol. 3A 4.9.2 "Paging and Memory Typing When the PAT is Supported"). */
  patIndex = 0;

  /** One of `WalkFault`. */
  fault = 0;
  /** Page-fault error code, as `PageFaultError` bits. */
  errorCode = 0;
  /** Why, as one of `Reason`; of the second stage's fault, see `stage.reason`. */
  reason = 0;
  /** Level of the entry at which the walk ended: 5 PML5E ... 1 PTE; 0 if no table was walked. */
  level = 0;
  /** True if the second stage's fault was on an access to a guest paging-structure entry. */
  stageOnTable = false;
  /** The second stage's last answer. */
  readonly stage: StageResult = new StageResult();
}
