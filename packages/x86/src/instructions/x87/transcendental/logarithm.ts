import {
  add,
  and,
  clz,
  type Expr,
  eq,
  eqz,
  extendU,
  type FunctionBuilder,
  type FunctionRef,
  geS,
  gtU,
  i32,
  i64,
  type Local,
  ltS,
  ne,
  or,
  select,
  shl,
  shrU,
  sub,
  wrap,
  xor,
} from '@minusone/wasm';
import { type Subroutine, subroutine } from '../../../semantics/subroutine.ts';
import { addSubtract, normalizeAndRound } from '../../../softfloat/add.ts';
import { Control, Format } from '../../../softfloat/control.ts';
import { Flag } from '../../../softfloat/flags.ts';
import { Kind, Place, readSlot, Slot, type Unpacked, writePlace, writeSlot } from '../../../softfloat/scratch.ts';
import { denormalFlag, returnInvalid, returnNanOfTwo, writeSpecial } from '../../../softfloat/special.ts';
import {
  addWide,
  divideWide,
  multiplyHalf,
  multiplyWide,
  ONE,
  polynomial,
  selectWide,
  shiftRight,
  subtractWide,
  type Wide,
  wide,
} from '../../../softfloat/wide.ts';
import { coefficients, LOG2E } from './constants.ts';

type Link = (subroutine: Subroutine) => FunctionRef;

/** artanh(s) / s = 1 + s^2 / 3 + s^4 / 5 ...: for |s| up to 0.172 what is left out is below 2^-95. */
const SERIES = coefficients(19, (k) => BigInt(2 * k + 1)).map((c, k) => (k === 0 ? ONE : c));
/** The significand (of 64 bits) of the square root of 2. */
const ROOT_2 = 0xb504_f333_f9de_6484n;

/**
 * log2(1 + t) without its sign, as a floating-point Wide: 2 artanh(s) / ln 2 with s = t / (2 + t). `t` is significand * 2^(exponent - 63), normalized and not zero; `half` is (2 + t) / 2.
 */
function logarithmNearOne(
  f: FunctionBuilder,
  link: Link,
  cpu: Expr,
  significand: Expr,
  exponent: Expr,
  half: Wide,
): { value: Wide; exponent: Expr } {
  const numerator = { high: f.let(shrU(significand, i64(1))), low: f.let(shl(significand, i64(63))) };
  const quotient = divideWide(f, link, cpu, numerator, half); // s * 2^-exponent
  const s = shiftRight(f, quotient, sub(i32(0), exponent));
  const ratio = polynomial(f, link, cpu, multiplyWide(f, link, cpu, s, s), SERIES, i32(0));
  const product = multiplyHalf(f, link, cpu, multiplyHalf(f, link, cpu, quotient, ratio), wide(LOG2E));
  return { value: product, exponent: f.let(add(exponent, i32(3))) };
}

/** Leaves with y times a logarithm. */
function returnProduct(
  f: FunctionBuilder,
  link: Link,
  cpu: Expr,
  control: Expr,
  y: Unpacked,
  sign: Expr,
  log: { value: Wide; exponent: Expr },
  inexact: Expr,
): void {
  const product = multiplyHalf(f, link, cpu, log.value, { high: y.significand, low: i64(0) });
  const exponent = add(add(log.exponent, y.exponent), i32(1));
  f.return(f.call(link(normalizeAndRound), cpu, control, xor(sign, y.sign), exponent, product.high, or(product.low, extendU(inexact))));
}

/** (cpu, control) -> flags, without DE: R = B * log2(A) for finite B and finite, positive A other than 1. */
const productWithLogarithm: Subroutine = subroutine('x87.productWithLogarithm', { params: ['i32', 'i32'], results: ['i32'] }, (f, link) => {
  const [cpu, control] = f.params as [Local, Local];
  const x = readSlot(f, cpu, Slot.A);
  const y = readSlot(f, cpu, Slot.B);
  // x = m * 2^power, m from the root of 1/2 to the root of 2.
  const isUpper = f.let(gtU(x.significand, i64(ROOT_2)));
  const power = f.let(add(x.exponent, isUpper));
  const powerSign = f.let(wrap(shrU(extendU(power), i64(31))));
  const powerMagnitude = f.let(select(powerSign, sub(i32(0), power), power));
  const difference = f.let(select(isUpper, sub(i64(0), x.significand), sub(x.significand, i64(1n << 63n))));
  const whole = { high: f.let(shl(extendU(powerMagnitude), i64(48))), low: i64(0) }; // with exponent 15
  f.if(eqz(difference), () => returnProduct(f, link, cpu, control, y, powerSign, { value: whole, exponent: i32(15) }, i32(0)));
  const leading = f.let(clz(difference));
  // m - 1 = difference * 2^-63 or, halved, * -2^-64
  const exponent = f.let(sub(sub(i32(0), wrap(leading)), isUpper));
  const upper = { high: add(i64(1n << 62n), shrU(x.significand, i64(2))), low: shl(x.significand, i64(62)) };
  const lower = { high: add(i64(1n << 62n), shrU(x.significand, i64(1))), low: shl(x.significand, i64(63)) };
  const log = logarithmNearOne(f, link, cpu, f.let(shl(difference, leading)), exponent, selectWide(f, isUpper, upper, lower));
  f.if(eqz(power), () => returnProduct(f, link, cpu, control, y, isUpper, log, i32(1)));
  const fraction = shiftRight(f, log.value, sub(i32(15), log.exponent));
  const sum = selectWide(f, eq(powerSign, isUpper), addWide(f, whole, fraction), subtractWide(f, whole, fraction));
  returnProduct(f, link, cpu, control, y, powerSign, { value: sum, exponent: i32(15) }, i32(1));
});

/** Leaves with B times an infinite logarithm of the given sign, or one of the given sign with B infinite or zero. */
function returnSigned(f: FunctionBuilder, cpu: Expr, kind: number, sign: Expr, flags: Expr): void {
  writeSpecial(f, cpu, i32(kind), sign);
  f.return(flags);
}

/** (cpu, control) -> flags: R = B * log2(A): SDM Vol. 2A, FYL2X, Table "FYL2X Results". */
export const logarithm: Subroutine = subroutine('x87.logarithm', { params: ['i32', 'i32'], results: ['i32'] }, (f, link) => {
  const [cpu, control] = f.params as [Local, Local];
  returnNanOfTwo(f, link, cpu, control);
  const x = readSlot(f, cpu, Slot.A);
  const y = readSlot(f, cpu, Slot.B);
  const denormal = denormalFlag(f, x, y);
  f.if(eq(x.kind, i32(Kind.ZERO)), () => {
    f.if(eq(y.kind, i32(Kind.ZERO)), () => returnInvalid(f, cpu));
    returnSigned(f, cpu, Kind.INFINITY, xor(y.sign, i32(1)), select(eq(y.kind, i32(Kind.INFINITY)), i32(0), i32(Flag.ZE)));
  });
  f.if(x.sign, () => returnInvalid(f, cpu));
  f.if(eq(x.kind, i32(Kind.INFINITY)), () => {
    f.if(eq(y.kind, i32(Kind.ZERO)), () => returnInvalid(f, cpu));
    returnSigned(f, cpu, Kind.INFINITY, y.sign, denormal);
  });
  const isBelow = f.let(ltS(x.exponent, i32(0)));
  f.if(eqz(or(x.exponent, ne(x.significand, i64(1n << 63n)))), () => {
    f.if(eq(y.kind, i32(Kind.INFINITY)), () => returnInvalid(f, cpu));
    returnSigned(f, cpu, Kind.ZERO, y.sign, denormal);
  });
  f.if(eq(y.kind, i32(Kind.INFINITY)), () => returnSigned(f, cpu, Kind.INFINITY, xor(y.sign, isBelow), denormal));
  f.if(eq(y.kind, i32(Kind.ZERO)), () => returnSigned(f, cpu, Kind.ZERO, xor(y.sign, isBelow), denormal));
  // Inexact by nature (SDM Vol. 1, 8.5.6), even of powers of 2: so a tiny product has underflowed, although it be a denormal (4.9.1.5).
  const flags = f.let(f.call(link(productWithLogarithm), cpu, control));
  const product = readSlot(f, cpu, Slot.R);
  const isDenormal = and(eq(product.kind, i32(Kind.FINITE)), geS(product.significand, i64(0)));
  f.return(or(or(denormal, i32(Flag.PE)), or(flags, select(isDenormal, i32(Flag.UE), i32(0)))));
});

/** (cpu, control) -> flags: R = B * log2(A + 1): SDM Vol. 2A, FYL2XP1. A is to be between the root of 1/2 and that of 2, less 1. */
export const logarithmPlusOne: Subroutine = subroutine('x87.logarithmPlusOne', { params: ['i32', 'i32'], results: ['i32'] }, (f, link) => {
  const [cpu, control] = f.params as [Local, Local];
  returnNanOfTwo(f, link, cpu, control);
  const x = readSlot(f, cpu, Slot.A);
  const y = readSlot(f, cpu, Slot.B);
  const denormal = denormalFlag(f, x, y);
  const sign = f.let(xor(x.sign, y.sign));
  f.if(eq(x.kind, i32(Kind.ZERO)), () => {
    f.if(eq(y.kind, i32(Kind.INFINITY)), () => returnInvalid(f, cpu));
    returnSigned(f, cpu, Kind.ZERO, sign, denormal);
  });
  f.if(and(x.sign, eq(x.kind, i32(Kind.INFINITY))), () => returnInvalid(f, cpu));
  f.if(eq(x.kind, i32(Kind.INFINITY)), () => {
    f.if(eq(y.kind, i32(Kind.ZERO)), () => returnInvalid(f, cpu));
    returnSigned(f, cpu, Kind.INFINITY, y.sign, denormal);
  });
  f.if(eq(y.kind, i32(Kind.INFINITY)), () => returnSigned(f, cpu, Kind.INFINITY, sign, denormal));
  f.if(eq(y.kind, i32(Kind.ZERO)), () => returnSigned(f, cpu, Kind.ZERO, sign, denormal));
  // Outside the range of the manual: A from -1 down; elsewhere as log2 of the rounded sum.
  f.if(and(x.sign, geS(x.exponent, i32(0))), () => {
    writeSlot(f, cpu, Slot.R, x);
    writePlace(f, cpu, Place.ROUNDED_UP, i32(0));
    f.return(or(denormal, i32(Flag.PE)));
  });
  f.if(geS(x.exponent, i32(-1)), () => {
    writeSlot(f, cpu, Slot.B, { significand: i64(1n << 63n), exponent: i32(0), sign: i32(0), kind: i32(Kind.FINITE), denormal: i32(0) });
    f.drop(f.call(link(addSubtract), cpu, i32(Format.X80 | Control.UM | Control.OM), i32(0)));
    writeSlot(f, cpu, Slot.A, readSlot(f, cpu, Slot.R));
    writeSlot(f, cpu, Slot.B, y);
    f.return(or(denormal, f.call(link(logarithm), cpu, control)));
  });
  const halved = shiftRight(f, { high: x.significand, low: i64(0) }, sub(i32(1), x.exponent));
  const half = selectWide(f, x.sign, subtractWide(f, wide(ONE), halved), addWide(f, wide(ONE), halved));
  const log = logarithmNearOne(f, link, cpu, x.significand, x.exponent, half);
  const product = multiplyHalf(f, link, cpu, log.value, { high: y.significand, low: i64(0) });
  const exponent = add(add(log.exponent, y.exponent), i32(1));
  const flags = f.call(link(normalizeAndRound), cpu, control, sign, exponent, product.high, or(product.low, i64(1)));
  f.return(or(denormal, flags));
});
