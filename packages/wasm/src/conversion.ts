// Conversions between the value types (Core Specification 4.3.4), and sign extension within one.

import { F32Constant, F64Constant, I32Constant, I64Constant, i32, i64hl } from './constants.ts';
import { type Expr, Unary } from './expr.ts';
import { Load, load } from './memory-access.ts';
import * as op from './opcodes.ts';
import { opcodeFor } from './opcodes.ts';
import type { FloatType, IntType } from './types.ts';
import { requireType } from './types.ts';

/** The low 32 bits of an i64; an i32 as it is. */
export function wrap(x: Expr): Expr {
  if (x.type === 'i32') return x;
  requireType(x.type, 'i64', 'wrap');
  if (x instanceof I64Constant) return i32(x.lo);
  if (x instanceof Unary && (x.opcode === op.I64_EXTEND_I32_U || x.opcode === op.I64_EXTEND_I32_S)) return x.operand;
  // The address is the same and so is what can trap: a narrow i64 load has the same low 32 bits as the i32 load.
  if (x instanceof Load && x.bytes < 8)
    return load('i32', x.pointer, { offset: x.offset, bytes: x.bytes, signed: x.signed, align: x.align });
  return new Unary('i32', op.I32_WRAP_I64, x);
}

/** An i32 extended with zeros to i64; an i64 as it is. */
export function extendU(x: Expr): Expr {
  if (x.type === 'i64') return x;
  requireType(x.type, 'i32', 'extendU');
  return x instanceof I32Constant ? i64hl(0, x.value) : new Unary('i64', op.I64_EXTEND_I32_U, x);
}

/** An i32 extended with its sign to i64; an i64 as it is. */
export function extendS(x: Expr): Expr {
  if (x.type === 'i64') return x;
  requireType(x.type, 'i32', 'extendS');
  return x instanceof I32Constant ? i64hl(x.value >> 31, x.value) : new Unary('i64', op.I64_EXTEND_I32_S, x);
}

/** The low `bits` of an integer, extended with their sign to its whole width; 32 bits of an i32 are the i32 as it is. */
export function signExtend(x: Expr, bits: 8 | 16 | 32): Expr {
  if (bits === 32) {
    if (x.type === 'i32') return x;
    requireType(x.type, 'i64', 'signExtend');
    return x instanceof I64Constant ? i64hl(x.lo >> 31, x.lo) : new Unary('i64', op.I64_EXTEND32_S, x);
  }
  const unused = 32 - bits;
  if (x instanceof I32Constant) return i32((x.value << unused) >> unused);
  if (x instanceof I64Constant) return i64hl((x.lo << unused) >> 31, (x.lo << unused) >> unused);
  return new Unary(x.type, opcodeFor(bits === 8 ? op.SIGN_EXTEND_8 : op.SIGN_EXTEND_16, x.type), x);
}

/** A float truncated to a signed integer; NaN gives 0, what lies outside the range its nearest end. */
export function truncSatS(x: Expr, to: IntType): Expr {
  return new Unary(to, opcodeFor(to === 'i32' ? op.I32_TRUNC_SAT_S : op.I64_TRUNC_SAT_S, x.type), x);
}

/** A float truncated to an unsigned integer; NaN gives 0, what lies outside the range its nearest end. */
export function truncSatU(x: Expr, to: IntType): Expr {
  return new Unary(to, opcodeFor(to === 'i32' ? op.I32_TRUNC_SAT_U : op.I64_TRUNC_SAT_U, x.type), x);
}

/** A signed integer as a float, rounded to nearest even. */
export function convertS(x: Expr, to: FloatType): Expr {
  return new Unary(to, opcodeFor(to === 'f32' ? op.F32_CONVERT_S : op.F64_CONVERT_S, x.type), x);
}

/** An unsigned integer as a float, rounded to nearest even. */
export function convertU(x: Expr, to: FloatType): Expr {
  return new Unary(to, opcodeFor(to === 'f32' ? op.F32_CONVERT_U : op.F64_CONVERT_U, x.type), x);
}

/** An f32 as f64. */
export function promote(x: Expr): Expr {
  requireType(x.type, 'f32', 'promote');
  return new Unary('f64', op.F64_PROMOTE_F32, x);
}

/** An f64 as f32, rounded to nearest even. */
export function demote(x: Expr): Expr {
  requireType(x.type, 'f64', 'demote');
  return new Unary('f32', op.F32_DEMOTE_F64, x);
}

/** The same bits as the other type of the same width: i32 and f32, i64 and f64. Constants keep every bit, of a NaN too. */
export function reinterpret(x: Expr): Expr {
  if (x instanceof I32Constant) return new F32Constant(x.value);
  if (x instanceof I64Constant) return new F64Constant(x.hi, x.lo);
  if (x instanceof F32Constant) return i32(x.bits);
  if (x instanceof F64Constant) return i64hl(x.hi, x.lo);
  // The opcodes of reinterpretation are used by nothing else, so that two in a row undo each other.
  if (x instanceof Unary && x.opcode >= 0xbc && x.opcode <= 0xbf) return x.operand;
  return new Unary(REINTERPRETED[x.type], opcodeFor(op.REINTERPRET, x.type), x);
}

const REINTERPRETED = { i32: 'f32', i64: 'f64', f32: 'i32', f64: 'i64', v128: 'v128' } as const;
