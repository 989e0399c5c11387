// Integer arithmetic, and what floats share with it (add, sub, mul). Every function builds a tree of the operands' own type and folds what it can see:
// operations on two constants, neutral and absorbing elements, chains with constants. A constant operand of a commutative operation ends up on the right.

import { coversLowBits, I32Constant, I64Constant, i32, i64, isAllOnes, isOne, isZero } from './constants.ts';
import { Binary, type Expr, Unary } from './expr.ts';
import * as op from './opcodes.ts';
import { type Opcodes, opcodeFor } from './opcodes.ts';
import { requireType } from './types.ts';

type Fold32 = (a: number, b: number) => number;
type Fold64 = (a: bigint, b: bigint) => bigint;

const u64 = (x: bigint): bigint => BigInt.asUintN(64, x);

/** The value of an operation on two constants of one integer type, or undefined when an operand is not constant. */
function fold(a: Expr, b: Expr, fold32: Fold32, fold64: Fold64): Expr | undefined {
  if (a instanceof I32Constant) return b instanceof I32Constant ? i32(fold32(a.value, b.value)) : undefined;
  return a instanceof I64Constant && b instanceof I64Constant ? i64(fold64(a.constant, b.constant)) : undefined;
}

function isIntConstant(x: Expr): boolean {
  return x instanceof I32Constant || x instanceof I64Constant;
}

function isInt(x: Expr): boolean {
  return x.type === 'i32' || x.type === 'i64';
}

function binary(operation: Opcodes, a: Expr, b: Expr, mayTrap = false): Expr {
  requireType(b.type, a.type, operation.name);
  return new Binary(a.type, opcodeFor(operation, a.type), a, b, mayTrap);
}

/** `(x op c1) op c2` as `x op (c1 op c2)`, for the associative operations. */
function chain(operation: Opcodes, rebuild: (a: Expr, b: Expr) => Expr, a: Expr, c2: Expr): Expr | undefined {
  if (!(a instanceof Binary) || !isIntConstant(a.b) || a.opcode !== opcodeFor(operation, a.type)) return undefined;
  return rebuild(a.a, rebuild(a.b, c2));
}

/** Sum, modulo 2^32 or 2^64; or the floating-point sum. */
export function add(a: Expr, b: Expr): Expr {
  requireType(b.type, a.type, 'add');
  if (isIntConstant(b)) {
    if (isZero(b)) return a;
    const folded = fold(a, b, add32, add64) ?? chain(op.ADD, add, a, b);
    if (folded) return folded;
  } else if (isIntConstant(a)) return add(b, a);
  return binary(op.ADD, a, b);
}
const add32: Fold32 = (a, b) => a + b;
const add64: Fold64 = (a, b) => a + b;

/** Difference, modulo 2^32 or 2^64 (a constant `b` becomes the addition of `-b`); or the floating-point difference. */
export function sub(a: Expr, b: Expr): Expr {
  requireType(b.type, a.type, 'sub');
  if (b instanceof I32Constant) return add(a, i32(-b.value));
  if (b instanceof I64Constant) return add(a, i64(-b.constant));
  return binary(op.SUB, a, b);
}

/** Product, modulo 2^32 or 2^64; or the floating-point product. */
export function mul(a: Expr, b: Expr): Expr {
  requireType(b.type, a.type, 'mul');
  if (isIntConstant(b)) {
    if (isOne(b)) return a;
    if (isZero(b) && a.pure) return b;
    const folded = fold(a, b, Math.imul, mul64);
    if (folded) return folded;
  } else if (isIntConstant(a)) return mul(b, a);
  return binary(op.MUL, a, b);
}
const mul64: Fold64 = (a, b) => a * b;

/** Signed quotient, truncated; traps on division by zero and on the smallest number by -1. */
export function divS(a: Expr, b: Expr): Expr {
  if (isZero(b) || isAllOnes(b)) return binary(op.DIV_S, a, b, true);
  return fold(a, b, divS32, divS64) ?? binary(op.DIV_S, a, b, !isIntConstant(b));
}
const divS32: Fold32 = (a, b) => a / b;
const divS64: Fold64 = (a, b) => a / b;

/** Unsigned quotient; traps on division by zero. */
export function divU(a: Expr, b: Expr): Expr {
  if (isZero(b)) return binary(op.DIV_U, a, b, true);
  return fold(a, b, divU32, divU64) ?? binary(op.DIV_U, a, b, !isIntConstant(b));
}
const divU32: Fold32 = (a, b) => (a >>> 0) / (b >>> 0);
const divU64: Fold64 = (a, b) => u64(a) / u64(b);

/** Remainder with the sign of the dividend; traps on division by zero. */
export function remS(a: Expr, b: Expr): Expr {
  if (isZero(b)) return binary(op.REM_S, a, b, true);
  return fold(a, b, remS32, remS64) ?? binary(op.REM_S, a, b, !isIntConstant(b));
}
const remS32: Fold32 = (a, b) => a % b;
const remS64: Fold64 = (a, b) => a % b;

/** Unsigned remainder; traps on division by zero. */
export function remU(a: Expr, b: Expr): Expr {
  if (isZero(b)) return binary(op.REM_U, a, b, true);
  return fold(a, b, remU32, remU64) ?? binary(op.REM_U, a, b, !isIntConstant(b));
}
const remU32: Fold32 = (a, b) => (a >>> 0) % (b >>> 0);
const remU64: Fold64 = (a, b) => u64(a) % u64(b);

/** Bitwise and. A mask that takes nothing away (over a narrow load, a comparison ...) is left out. */
export function and(a: Expr, b: Expr): Expr {
  requireType(b.type, a.type, 'and');
  if (isIntConstant(b)) {
    if (isZero(b) && a.pure) return b;
    const folded = fold(a, b, and32, and64);
    if (folded) return folded;
    if (coversLowBits(b, a.significantBits)) return a;
    const chained = chain(op.AND, and, a, b);
    if (chained) return chained;
  } else if (isIntConstant(a)) return and(b, a);
  return binary(op.AND, a, b);
}
const and32: Fold32 = (a, b) => a & b;
const and64: Fold64 = (a, b) => a & b;

/** Bitwise or. */
export function or(a: Expr, b: Expr): Expr {
  requireType(b.type, a.type, 'or');
  if (isIntConstant(b)) {
    if (isZero(b)) return a;
    if (isAllOnes(b) && a.pure) return b;
    const folded = fold(a, b, or32, or64) ?? chain(op.OR, or, a, b);
    if (folded) return folded;
  } else if (isIntConstant(a)) return or(b, a);
  return binary(op.OR, a, b);
}
const or32: Fold32 = (a, b) => a | b;
const or64: Fold64 = (a, b) => a | b;

/** Bitwise exclusive or. */
export function xor(a: Expr, b: Expr): Expr {
  requireType(b.type, a.type, 'xor');
  if (isIntConstant(b)) {
    if (isZero(b)) return a;
    const folded = fold(a, b, xor32, xor64) ?? chain(op.XOR, xor, a, b);
    if (folded) return folded;
  } else if (isIntConstant(a)) return xor(b, a);
  return binary(op.XOR, a, b);
}
const xor32: Fold32 = (a, b) => a ^ b;
const xor64: Fold64 = (a, b) => a ^ b;

/** Whether a shift count is a multiple of the width, which leaves the operand as it is. */
function isNoShift(count: Expr): boolean {
  if (count instanceof I32Constant) return (count.value & 31) === 0;
  return count instanceof I64Constant && (count.lo & 63) === 0;
}

function shift(operation: Opcodes, a: Expr, count: Expr, fold32: Fold32, fold64: Fold64): Expr {
  requireType(count.type, a.type, operation.name);
  if (isNoShift(count) && isInt(a)) return a;
  return fold(a, count, fold32, fold64) ?? binary(operation, a, count);
}

/** Shift left; the count is taken modulo the width, and is of the operand's type. */
export function shl(a: Expr, count: Expr): Expr {
  return shift(op.SHL, a, count, shl32, shl64);
}
const shl32: Fold32 = (a, n) => a << n;
const shl64: Fold64 = (a, n) => a << (n & 63n);

/** Arithmetic shift right; the count as for {@link shl}. */
export function shrS(a: Expr, count: Expr): Expr {
  return shift(op.SHR_S, a, count, shrS32, shrS64);
}
const shrS32: Fold32 = (a, n) => a >> n;
const shrS64: Fold64 = (a, n) => a >> (n & 63n);

/** Logical shift right; the count as for {@link shl}. */
export function shrU(a: Expr, count: Expr): Expr {
  return shift(op.SHR_U, a, count, shrU32, shrU64);
}
const shrU32: Fold32 = (a, n) => a >>> n;
const shrU64: Fold64 = (a, n) => u64(a) >> (n & 63n);

/** Rotate left; the count as for {@link shl}. */
export function rotl(a: Expr, count: Expr): Expr {
  return shift(op.ROTL, a, count, rotl32, rotl64);
}
const rotl32: Fold32 = (a, n) => (a << n) | (a >>> -n);
const rotl64: Fold64 = (a, n) => (a << (n & 63n)) | (u64(a) >> (-n & 63n));

/** Rotate right; the count as for {@link shl}. */
export function rotr(a: Expr, count: Expr): Expr {
  return shift(op.ROTR, a, count, rotr32, rotr64);
}
const rotr32: Fold32 = (a, n) => (a >>> n) | (a << -n);
const rotr64: Fold64 = (a, n) => (u64(a) >> (n & 63n)) | (a << (-n & 63n));

/** Leading zero bits; the width for zero. The result has the operand's type. */
export function clz(x: Expr): Expr {
  if (x instanceof I32Constant) return i32(Math.clz32(x.value));
  if (x instanceof I64Constant) return i64(x.hi === 0 ? 32 + Math.clz32(x.lo) : Math.clz32(x.hi));
  return new Unary(x.type, opcodeFor(op.CLZ, x.type), x);
}

/** Trailing zero bits; the width for zero. The result has the operand's type. */
export function ctz(x: Expr): Expr {
  if (x instanceof I32Constant) return i32(ctz32(x.value));
  if (x instanceof I64Constant) return i64(x.lo === 0 ? 32 + ctz32(x.hi) : ctz32(x.lo));
  return new Unary(x.type, opcodeFor(op.CTZ, x.type), x);
}

function ctz32(x: number): number {
  return x === 0 ? 32 : 31 - Math.clz32(x & -x);
}

/** How many bits are set. The result has the operand's type. */
export function popcnt(x: Expr): Expr {
  if (x instanceof I32Constant) return i32(popcnt32(x.value));
  if (x instanceof I64Constant) return i64(popcnt32(x.hi) + popcnt32(x.lo));
  return new Unary(x.type, opcodeFor(op.POPCNT, x.type), x);
}

function popcnt32(x: number): number {
  let count = 0;
  for (let rest = x; rest !== 0; rest &= rest - 1) count++;
  return count;
}
