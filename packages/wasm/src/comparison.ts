// Comparisons give an i32 of 0 or 1.

import { I32Constant, I64Constant, i32, i64, isZero } from './constants.ts';
import { Binary, type Expr, Ternary, Unary } from './expr.ts';
import * as op from './opcodes.ts';
import { type Opcodes, opcodeFor } from './opcodes.ts';
import { requireType } from './types.ts';

function compare(operation: Opcodes, a: Expr, b: Expr): Expr {
  requireType(b.type, a.type, operation.name);
  return new Binary('i32', opcodeFor(operation, a.type), a, b);
}

/** A comparison of integers as `holds(sign of (a - b))`, folded when both are constants. */
function compareInts(operation: Opcodes, a: Expr, b: Expr, signed: boolean, holds: (order: number) => boolean): Expr {
  if (a instanceof I32Constant && b instanceof I32Constant) {
    return i32(holds(signed ? Math.sign(a.value - b.value) : Math.sign((a.value >>> 0) - (b.value >>> 0))) ? 1 : 0);
  }
  if (a instanceof I64Constant && b instanceof I64Constant) {
    const high = signed ? Math.sign(a.hi - b.hi) : Math.sign((a.hi >>> 0) - (b.hi >>> 0));
    return i32(holds(high !== 0 ? high : Math.sign((a.lo >>> 0) - (b.lo >>> 0))) ? 1 : 0);
  }
  return compare(operation, a, b);
}

const equal = (order: number): boolean => order === 0;
const notEqual = (order: number): boolean => order !== 0;
const less = (order: number): boolean => order < 0;
const greater = (order: number): boolean => order > 0;
const lessOrEqual = (order: number): boolean => order <= 0;
const greaterOrEqual = (order: number): boolean => order >= 0;

// Where the inverse of each comparison stands, counted from `eq`: eq ne ltS ltU gtS gtU leS leU geS geU.
const INVERSE = [1, 0, 8, 9, 6, 7, 4, 5, 2, 3] as const;
const FIRST_I32 = 0x46;
const FIRST_I64 = 0x51;

/** Whether an integer is zero. Of an integer comparison, its inverse. */
export function eqz(x: Expr): Expr {
  if (x instanceof I32Constant || x instanceof I64Constant) return i32(isZero(x) ? 1 : 0);
  if (x instanceof Binary) {
    const first = x.opcode >= FIRST_I64 ? FIRST_I64 : FIRST_I32;
    const inverse = INVERSE[x.opcode - first];
    if (inverse !== undefined) return new Binary('i32', first + inverse, x.a, x.b);
  }
  if (x instanceof Unary && x.opcode === op.EQZ.i32) {
    return x.operand.significantBits === 1 ? x.operand : new Binary('i32', op.NE.i32, x.operand, i32(0));
  }
  if (x instanceof Unary && x.opcode === op.EQZ.i64) return new Binary('i32', op.NE.i64, x.operand, i64(0));
  return new Unary('i32', opcodeFor(op.EQZ, x.type), x);
}

/** Equality of integers or of floats (NaN equals nothing). */
export function eq(a: Expr, b: Expr): Expr {
  requireType(b.type, a.type, 'eq');
  if (isZero(b)) return eqz(a);
  return isZero(a) ? eqz(b) : compareInts(op.EQ, a, b, true, equal);
}

/** Inequality of integers or of floats (NaN differs from everything). */
export function ne(a: Expr, b: Expr): Expr {
  requireType(b.type, a.type, 'ne');
  if (isZero(b) && a.type === 'i32' && a.significantBits <= 1) return a;
  return compareInts(op.NE, a, b, true, notEqual);
}

/** a < b, signed. */
export function ltS(a: Expr, b: Expr): Expr {
  return compareInts(op.LT_S, a, b, true, less);
}

/** a < b, unsigned. */
export function ltU(a: Expr, b: Expr): Expr {
  return compareInts(op.LT_U, a, b, false, less);
}

/** a > b, signed. */
export function gtS(a: Expr, b: Expr): Expr {
  return compareInts(op.GT_S, a, b, true, greater);
}

/** a > b, unsigned. */
export function gtU(a: Expr, b: Expr): Expr {
  return compareInts(op.GT_U, a, b, false, greater);
}

/** a <= b, signed. */
export function leS(a: Expr, b: Expr): Expr {
  return compareInts(op.LE_S, a, b, true, lessOrEqual);
}

/** a <= b, unsigned. */
export function leU(a: Expr, b: Expr): Expr {
  return compareInts(op.LE_U, a, b, false, lessOrEqual);
}

/** a >= b, signed. */
export function geS(a: Expr, b: Expr): Expr {
  return compareInts(op.GE_S, a, b, true, greaterOrEqual);
}

/** a >= b, unsigned. */
export function geU(a: Expr, b: Expr): Expr {
  return compareInts(op.GE_U, a, b, false, greaterOrEqual);
}

/** a < b of floats; false if either is NaN. */
export function lt(a: Expr, b: Expr): Expr {
  return compare(op.LT, a, b);
}

/** a > b of floats; false if either is NaN. */
export function gt(a: Expr, b: Expr): Expr {
  return compare(op.GT, a, b);
}

/** a <= b of floats; false if either is NaN. */
export function le(a: Expr, b: Expr): Expr {
  return compare(op.LE, a, b);
}

/** a >= b of floats; false if either is NaN. */
export function ge(a: Expr, b: Expr): Expr {
  return compare(op.GE, a, b);
}

/** An i32 that is only asked whether it is zero, without what does not change the answer. */
export function condition(x: Expr, where: string): Expr {
  requireType(x.type, 'i32', where);
  if (x instanceof Binary && x.opcode === op.NE.i32 && isZero(x.b)) return x.a;
  return x;
}

/** `a` if the i32 `cond` is not zero, else `b`; both are computed either way. */
export function select(cond: Expr, a: Expr, b: Expr): Expr {
  requireType(b.type, a.type, 'select');
  const chosen = condition(cond, 'select');
  if (chosen instanceof I32Constant) {
    if (chosen.value !== 0 && b.pure) return a;
    if (chosen.value === 0 && a.pure) return b;
  }
  if (chosen instanceof Unary && chosen.opcode === op.EQZ.i32 && (a.pure || b.pure)) return new Ternary(a.type, 0x1b, b, a, chosen.operand);
  return new Ternary(a.type, 0x1b, a, b, chosen);
}
