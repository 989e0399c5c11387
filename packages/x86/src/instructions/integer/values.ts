import { and, type Expr, extendU, i32, i64, shrU, wrap } from '@minusone/wasm';

/**
 * Small words that the integer semantics share. Quantities of 1, 2 and 4 bytes are i32, of 8 bytes i64; see `Emit`.
 */

/** A constant of the width's type. */
export function constant(bytes: number, value: number | bigint): Expr {
  return bytes === 8 ? i64(BigInt(value)) : i32(Number(BigInt.asIntN(32, BigInt(value))));
}

/** The low `bytes` of an i32 (or i64, whole), zero-extended. */
export function mask(bytes: number, x: Expr): Expr {
  return bytes >= 4 ? x : and(x, i32(bytes === 1 ? 0xff : 0xffff));
}

/** The most significant bit as i32 0 or 1; bits above the width are ignored. */
export function signBit(bytes: number, x: Expr): Expr {
  return bytes === 8 ? wrap(shrU(x, i64(63))) : and(shrU(x, i32(bytes * 8 - 1)), i32(1));
}

/** An i32 that is not negative, in the width's type. */
export function widen(bytes: number, x: Expr): Expr {
  return bytes === 8 ? extendU(x) : x;
}

/** The low 32 bits of a value of the width. */
export function narrow(bytes: number, x: Expr): Expr {
  return bytes === 8 ? wrap(x) : x;
}
