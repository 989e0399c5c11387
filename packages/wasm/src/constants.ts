import { InternalError } from '@minusone/core';
import type { CodeBuffer } from './code-buffer.ts';
import { Expr } from './expr.ts';
import type { ValType } from './types.ts';

/** The base of all constants. */
export abstract class Constant extends Expr {
  constructor(type: ValType) {
    super(type, true);
  }
}

/** `i32.const`. */
export class I32Constant extends Constant {
  /** Signed. */
  declare readonly value: number;

  constructor(value: number) {
    super('i32');
    this.value = value;
  }

  override get constant(): number {
    return this.value;
  }

  override get significantBits(): number {
    return 32 - Math.clz32(this.value);
  }

  emit(code: CodeBuffer): void {
    code.byte(0x41);
    code.s32(this.value);
  }
}

/** `i64.const`, kept as two signed 32-bit halves so that emitting it needs no BigInt. */
export class I64Constant extends Constant {
  declare readonly hi: number;
  declare readonly lo: number;

  constructor(hi: number, lo: number) {
    super('i64');
    this.hi = hi;
    this.lo = lo;
  }

  override get constant(): bigint {
    return (BigInt(this.hi) << 32n) | BigInt(this.lo >>> 0);
  }

  override get significantBits(): number {
    return this.hi === 0 ? 32 - Math.clz32(this.lo) : 64 - Math.clz32(this.hi);
  }

  emit(code: CodeBuffer): void {
    code.byte(0x42);
    code.s64(this.hi, this.lo);
  }
}

/** `f32.const`, kept as its bits: a number cannot carry those of a NaN. */
export class F32Constant extends Constant {
  declare readonly bits: number;

  constructor(bits: number) {
    super('f32');
    this.bits = bits;
  }

  override get constant(): number {
    scratch.setInt32(0, this.bits, true);
    return scratch.getFloat32(0, true);
  }

  emit(code: CodeBuffer): void {
    code.byte(0x43);
    code.fixed32(this.bits);
  }
}

/** `f64.const`, kept as its bits in two signed halves. */
export class F64Constant extends Constant {
  declare readonly hi: number;
  declare readonly lo: number;

  constructor(hi: number, lo: number) {
    super('f64');
    this.hi = hi;
    this.lo = lo;
  }

  override get constant(): number {
    scratch.setInt32(0, this.lo, true);
    scratch.setInt32(4, this.hi, true);
    return scratch.getFloat64(0, true);
  }

  emit(code: CodeBuffer): void {
    code.byte(0x44);
    code.fixed32(this.lo);
    code.fixed32(this.hi);
  }
}

/** `v128.const`. */
export class V128Constant extends Constant {
  declare readonly bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    super('v128');
    this.bytes = bytes;
  }

  emit(code: CodeBuffer): void {
    code.op(0xfd000c);
    code.bytes(this.bytes);
  }
}

const scratch = new DataView(new ArrayBuffer(8));

/** A 32-bit integer; `n` is taken modulo 2^32, so that both 0xffffffff and -1 are all ones. */
export function i32(n: number): I32Constant {
  return new I32Constant(n | 0);
}

/**
 * A 64-bit integer, taken modulo 2^64.
 *
 * @throws {InternalError} a number that is not a safe integer
 */
export function i64(n: bigint | number): I64Constant {
  if (typeof n === 'bigint') return new I64Constant(Number(BigInt.asIntN(32, n >> 32n)), Number(BigInt.asIntN(32, n)));
  if (!Number.isSafeInteger(n)) throw new InternalError(`i64 needs a safe integer or a bigint, not ${n}.`, { n });
  return new I64Constant(Math.floor(n / 0x1_0000_0000) | 0, n | 0);
}

/** A 64-bit integer from its halves, each taken modulo 2^32: without BigInt. */
export function i64hl(hi: number, lo: number): I64Constant {
  return new I64Constant(hi | 0, lo | 0);
}

/** A single-precision number, rounded to nearest even; NaN is 0x7fc00000 (for other NaNs: `reinterpret(i32(bits))`). */
export function f32(n: number): F32Constant {
  if (Number.isNaN(n)) return new F32Constant(0x7fc00000);
  scratch.setFloat32(0, n, true);
  return new F32Constant(scratch.getInt32(0, true));
}

/** A double-precision number; NaN is 0x7ff80000_00000000 (for other NaNs: `reinterpret(i64(bits))`). */
export function f64(n: number): F64Constant {
  if (Number.isNaN(n)) return new F64Constant(0x7ff80000, 0);
  scratch.setFloat64(0, n, true);
  return new F64Constant(scratch.getInt32(4, true), scratch.getInt32(0, true));
}

/** A vector from its 16 bytes, lane 0 first; the bytes are copied. @throws {InternalError} not 16 bytes */
export function v128(bytes: Uint8Array): V128Constant {
  if (bytes.length !== 16) throw new InternalError(`v128 needs 16 bytes, not ${bytes.length}.`, { length: bytes.length });
  return new V128Constant(bytes.slice());
}

/** The integer constant zero. */
export function isZero(x: Expr): boolean {
  return x instanceof I32Constant ? x.value === 0 : x instanceof I64Constant && x.lo === 0 && x.hi === 0;
}

/** The integer constant of all ones. */
export function isAllOnes(x: Expr): boolean {
  return x instanceof I32Constant ? x.value === -1 : x instanceof I64Constant && x.lo === -1 && x.hi === -1;
}

/** The integer constant one. */
export function isOne(x: Expr): boolean {
  return x instanceof I32Constant ? x.value === 1 : x instanceof I64Constant && x.lo === 1 && x.hi === 0;
}

/** An integer constant whose `count` low bits are all ones. */
export function coversLowBits(x: Expr, count: number): boolean {
  if (x instanceof I32Constant) return count === 0 || ~x.value << (32 - count) === 0;
  if (!(x instanceof I64Constant)) return false;
  if (count === 0) return true;
  if (count <= 32) return ~x.lo << (32 - count) === 0;
  return x.lo === -1 && ~x.hi << (64 - count) === 0;
}
