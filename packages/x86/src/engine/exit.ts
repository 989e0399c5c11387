/** Why compiled code returns to the run loop. The decoded record concerned is in `State.exitRecord`. */
export const Exit = {
  /** The next block is not known (not decoded, or not in the jump cache): RIP says where. */
  NEXT: 0,
  /** The budget does not cover the next block: RIP says where. */
  BUDGET: 1,
  /** A system row: to be executed in TypeScript. RIP is at the instruction. */
  SYSTEM: 2,
  /** A fault: `faultVector` ... are set, RIP is at the instruction, which left no trace. */
  FAULT: 3,
  /** A slow path asks the run loop to look (event, code written, watchpoint): RIP is after the instruction. */
  LEAVE: 4,
  /** The instruction waits for an answer from outside (I/O to be restarted): RIP is at the instruction. */
  RESTART: 5,
} as const;
export type Exit = (typeof Exit)[keyof typeof Exit];
