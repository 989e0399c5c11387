/**
 * A decoded-instruction record in the machine's memory: what a handler reads of one instruction. The records of a block stand one after another; the block ends with
 * an instruction that transfers control, or with a record that stands for no instruction and leads on (`count` 0).
 */
export const RecordField = {
  /** i32: index of the handler in the dispatch table. */
  handler: 0,
  /** u16 each, four: offset in the state of a register operand (AH is RAX + 1), by operand; the register's number for ST(i). */
  operand: 4,
  /** u16: offset in the state of the base and of the index register; `State.zero` where there is none, `State.ripBase` for RIP-relative addresses. */
  base: 12,
  index: 14,
  /** i32, sign-extended when added. For RIP-relative addresses counted from `ripBase`. */
  displacement: 16,
  /** i32: second immediate, or the x87 opcode (FOP). */
  immediate2: 20,
  /** i64: first immediate; the whole offset of a moffs; the displacement of a relative operand. */
  immediate: 24,
  /** u16: page offset of the instruction, and of the next one (up to 4096 + 14). */
  offset: 32,
  next: 34,
  /** u16: instructions from this one to the end of its block, including it. */
  count: 36,
  /** u8: log2 of the scale. */
  scale: 38,
  /** u8: segment register of the memory operand. */
  segment: 39,
  /** i32: records of the target, and of the next instruction, where they stand in the same page and are known; otherwise 0. */
  taken: 40,
  follow: 44,
  /** First record of a block that the JIT watches: i32 how often the block is entered before it is compiled, or the slot of its region; and its own handler. */
  heat: 48,
  own: 52,
} as const;
export const RECORD_BYTES = 56;
