import { State } from './layout.ts';
import type { Registers } from './registers.ts';

/**
 * The kinds of lazy arithmetic flags (`State.ccOp`). `ccA`, `ccB` and `ccR` hold two operands and the result, sign-extended to 64 bits from the size of the
 * operation: so the size need not be known afterwards, and the sign bit is always bit 63. Bits as in EFLAGS (SDM Vol. 1, 3.4.3.1).
 */
export const FlagKind = {
  /** Not lazy: ccA is the image of all six. */
  IMAGE: 0,
  /** SF, ZF and PF by r; CF, OF and AF in ccA, as in EFLAGS. */
  RESULT: 1,
  /** a + b, with or without carry in. */
  ADD: 2,
  /** a - b. */
  SUB: 3,
  /** a - b - 1 or a - b: with borrow in. */
  BORROW: 4,
  /** Only r: CF = OF = AF = 0. */
  LOGIC: 5,
} as const;
export type FlagKind = (typeof FlagKind)[keyof typeof FlagKind];

/** CF, PF, AF, ZF, SF and OF in EFLAGS. */
export const ARITHMETIC_MASK = 0x8d5;

/** PF by the low eight bits: set where they have an even number of ones. */
function parity(low: number): number {
  const folded = low ^ (low >>> 4);
  // Bit n of 0x9669 is 1 where n has an even number of ones.
  return ((0x9669 >>> (folded & 15)) & 1) << 2;
}

/** The six arithmetic flags as in EFLAGS, whatever lazy form they are in. */
export function readArithmeticFlags(registers: Registers): number {
  const kind = registers.get32(State.ccOp);
  const aLow = registers.get32(State.ccA);
  if (kind === FlagKind.IMAGE) return aLow & ARITHMETIC_MASK;
  const rLow = registers.get32(State.ccR);
  const r = registers.get32(State.ccR + 4);
  const image = parity(rLow & 0xff) | ((rLow | r) === 0 ? 0x40 : 0) | (r < 0 ? 0x80 : 0);
  if (kind === FlagKind.LOGIC) return image;
  if (kind === FlagKind.RESULT) return image | (aLow & 0x811);
  const a = registers.get32(State.ccA + 4);
  const b = registers.get32(State.ccB + 4);
  const carries = kind === FlagKind.ADD ? (a & b) | ((a | b) & ~r) : (~a & b) | (~(a ^ b) & r);
  const overflow = kind === FlagKind.ADD ? (a ^ r) & (b ^ r) : (a ^ b) & (a ^ r);
  return image | (carries >>> 31) | ((overflow >>> 31) << 11) | ((aLow ^ registers.get32(State.ccB) ^ rLow) & 0x10);
}

/** Replaces the six arithmetic flags from an EFLAGS image. */
export function writeArithmeticFlags(registers: Registers, image: number): void {
  registers.set32(State.ccOp, FlagKind.IMAGE);
  registers.set32(State.ccA, image & ARITHMETIC_MASK);
  registers.set32(State.ccA + 4, 0);
}
