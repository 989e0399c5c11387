/** Why `Engine.execute` returns. RIP, the budget and the registers are exact. */
export const Exit = {
  /** `executeOne` is done; or (`execute`) there is nothing to report. RIP is where to go on: still at the instruction if that was a REP that is not through. */
  NEXT: 0,
  /** The budget is used up. */
  BUDGET: 1,
  /** A system row: to be executed in TypeScript. RIP is at the instruction, which is already taken from the budget. */
  SYSTEM: 2,
  /** A fault: `faultVector` ... are set, RIP is at the instruction, which left no trace and was not taken from the budget. */
  FAULT: 3,
  /** A slow path or the instruction asks the run loop to look (event, device access): RIP is after the instruction, or at a REP that is not through. */
  LEAVE: 4,
  /** The instruction waits for an answer from outside (I/O to be restarted): RIP is at the instruction. */
  RESTART: 5,
} as const;
export type Exit = (typeof Exit)[keyof typeof Exit];

/** What compiled code returns to the engine; the record concerned is in `State.exitRecord`. */
export const CodeExit = {
  /** Control went to State.rip. `exitRecord` is the record whose link (taken, or follow with bit 0 set) could lead there, or 0. */
  NEXT: 0,
  /** The budget does not cover the block at `exitRecord`, nothing of which has run. */
  BUDGET: 1,
  /** As `Exit`: the block's instructions from `exitRecord` on are to be given back to the budget. */
  SYSTEM: 2,
  FAULT: 3,
  LEAVE: 4,
  /** A REP instruction at `exitRecord` is not through; it goes on where it was. */
  REPEAT: 6,
  /** The block at `exitRecord` was dropped: decode again. */
  STALE: 7,
  /** A `stop` record: go on at its page offset. */
  STOP: 9,
  /** As LEAVE, but State.rip says where to go on. */
  LEAVE_AT_RIP: 8,
  /** The block at `exitRecord`, nothing of which has run, has been entered so often that it is to be compiled. */
  HOT: 10,
  /** A region was left: State.rip and the budget are right. ALONE: the instruction there is to be interpreted by itself. */
  REGION: 11,
  ALONE: 12,
  /** As ALONE, in the middle of a REP. */
  MIDWAY: 13,
} as const;
export type CodeExit = (typeof CodeExit)[keyof typeof CodeExit];
