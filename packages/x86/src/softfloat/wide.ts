import {
  add,
  and,
  type Expr,
  eq,
  eqz,
  extendU,
  type FunctionBuilder,
  type FunctionRef,
  geU,
  gtU,
  i32,
  i64,
  type Local,
  ltU,
  mul,
  or,
  select,
  shl,
  shrU,
  sub,
  wrap,
} from '@minusone/wasm';
import { multiplyHighUnsigned } from '../instructions/integer/wide-arithmetic.ts';
import { type Subroutine, subroutine } from '../semantics/subroutine.ts';
import { Place, readPlace, writePlace } from './scratch.ts';

/**
 * Arithmetic on unsigned 128-bit fractions, for functions that need more precision than they deliver. Unless said otherwise a `Wide` w stands for w * 2^-127: from 0 to
 * just below 2. As a floating-point number it goes with an exponent e, and stands for w * 2^(e - 127).
 */
export interface Wide {
  readonly high: Expr;
  readonly low: Expr;
}
type Link = (subroutine: Subroutine) => FunctionRef;

/** A constant from a BigInt below 2^128. */
export function wide(n: bigint): Wide {
  return { high: i64(BigInt.asIntN(64, n >> 64n)), low: i64(BigInt.asIntN(64, n)) };
}
/** 1. */
export const ONE: bigint = 1n << 127n;

/** (cpu, aHigh, aLow, bHigh, bLow) -> high half of a * b / 2^128; the low half is in Place.EXTRA. Off by at most 3 units of the last place: below. */
const multiplyHigh128: Subroutine = subroutine(
  'softfloat.multiplyHigh128',
  { params: ['i32', 'i64', 'i64', 'i64', 'i64'], results: ['i64'] },
  (f, link) => {
    const [cpu, aHigh, aLow, bHigh, bLow] = f.params as [Local, Local, Local, Local, Local];
    const high = (a: Expr, b: Expr): Expr => f.let(f.call(link(multiplyHighUnsigned), a, b));
    const cross1 = high(aHigh, bLow);
    const cross2 = high(aLow, bHigh);
    const top = high(aHigh, bHigh);
    const low1 = f.let(add(mul(aHigh, bHigh), cross1));
    const carry1 = f.let(extendU(ltU(low1, cross1)));
    const low = f.let(add(low1, cross2));
    writePlace(f, cpu, Place.EXTRA, low);
    f.return(add(add(top, carry1), extendU(ltU(low, cross2))));
  },
);

/** (cpu, nHigh, nLow, dHigh, dLow) -> high half of n / d as a Wide (below 2), the low half in Place.EXTRA; cut. d is not zero, n / d is below 2. */
const divide128: Subroutine = subroutine('softfloat.divide128', { params: ['i32', 'i64', 'i64', 'i64', 'i64'], results: ['i64'] }, (f) => {
  const [cpu, nHigh, nLow, dHigh, dLow] = f.params as [Local, Local, Local, Local, Local];
  const high = f.local('i64');
  const low = f.local('i64');
  const carry = f.local('i32');
  const quotientHigh = f.local('i64');
  const quotientLow = f.local('i64');
  const steps = f.local('i32');
  f.set(high, nHigh);
  f.set(low, nLow);
  f.set(steps, i32(128));
  f.loop((again) => {
    f.set(quotientHigh, or(shl(quotientHigh, i64(1)), shrU(quotientLow, i64(63))));
    f.set(quotientLow, shl(quotientLow, i64(1)));
    const fits = or(carry, or(gtU(high, dHigh), and(eq(high, dHigh), geU(low, dLow))));
    f.if(fits, () => {
      f.set(high, sub(sub(high, dHigh), extendU(ltU(low, dLow))));
      f.set(low, sub(low, dLow));
      f.set(quotientLow, or(quotientLow, i64(1)));
    });
    f.set(carry, wrap(shrU(high, i64(63))));
    f.set(high, or(shl(high, i64(1)), shrU(low, i64(63))));
    f.set(low, shl(low, i64(1)));
    f.set(steps, sub(steps, i32(1)));
    f.brIf(again, steps);
  });
  writePlace(f, cpu, Place.EXTRA, quotientLow);
  f.return(quotientHigh);
});

function withLow(f: FunctionBuilder, cpu: Expr, high: Expr): Wide {
  const kept = f.let(high);
  return { high: kept, low: readPlace(f, cpu, Place.EXTRA, 'i64') };
}

/** a * b / 2: the exponent of the product of two floating-point numbers is one more than the sum. */
export function multiplyHalf(f: FunctionBuilder, link: Link, cpu: Expr, a: Wide, b: Wide): Wide {
  return withLow(f, cpu, f.call(link(multiplyHigh128), cpu, a.high, a.low, b.high, b.low));
}

/** a * b, below 2. */
export function multiplyWide(f: FunctionBuilder, link: Link, cpu: Expr, a: Wide, b: Wide): Wide {
  const half = multiplyHalf(f, link, cpu, a, b);
  return { high: f.let(or(shl(half.high, i64(1)), shrU(half.low, i64(63)))), low: f.let(shl(half.low, i64(1))) };
}

export function divideWide(f: FunctionBuilder, link: Link, cpu: Expr, a: Wide, b: Wide): Wide {
  return withLow(f, cpu, f.call(link(divide128), cpu, a.high, a.low, b.high, b.low));
}

export function addWide(f: FunctionBuilder, a: Wide, b: Wide): Wide {
  const low = f.let(add(a.low, b.low));
  return { high: f.let(add(add(a.high, b.high), extendU(ltU(low, b.low)))), low };
}

/** a - b, where b is not the greater. */
export function subtractWide(f: FunctionBuilder, a: Wide, b: Wide): Wide {
  const low = f.let(sub(a.low, b.low));
  return { high: f.let(sub(sub(a.high, b.high), extendU(ltU(a.low, b.low)))), low };
}

export function selectWide(f: FunctionBuilder, condition: Expr, a: Wide, b: Wide): Wide {
  return { high: f.let(select(condition, a.high, b.high)), low: f.let(select(condition, a.low, b.low)) };
}

export function isLess(a: Wide, b: Wide): Expr {
  return or(ltU(a.high, b.high), and(eq(a.high, b.high), ltU(a.low, b.low)));
}

/** a / 2^by, cut; `by` is an i32 from 0 on. */
export function shiftRight(f: FunctionBuilder, a: Wide, by: Expr): Wide {
  const n = f.let(by);
  const by64 = f.let(extendU(and(n, i32(63))));
  const isZero = f.let(eqz(by64));
  const moved = f.let(select(isZero, i64(0), shl(a.high, sub(i64(64), by64))));
  const high = f.let(shrU(a.high, by64));
  const low = f.let(or(shrU(a.low, by64), moved));
  const beyond64 = f.let(geU(n, i32(64)));
  const beyond128 = f.let(geU(n, i32(128)));
  return {
    high: f.let(select(beyond64, i64(0), high)),
    low: f.let(select(beyond128, i64(0), select(beyond64, high, low))),
  };
}

/** A local variable for a Wide. */
export interface WideLocal {
  readonly high: Local;
  readonly low: Local;
}
export function wideLocal(f: FunctionBuilder): WideLocal {
  return { high: f.local('i64'), low: f.local('i64') };
}
export function setWide(f: FunctionBuilder, target: WideLocal, value: Wide): void {
  f.set(target.high, value.high);
  f.set(target.low, value.low);
}

/**
 * The polynomial with the given coefficients (of x^0, x^1 ...; all positive), by Horner's rule: c0 + c1 x + c2 x^2 ..., or c0 - c1 x + c2 x^2 ... where `alternates` is not 0. The terms
 * get smaller, so that no partial sum is negative.
 */
export function polynomial(f: FunctionBuilder, link: Link, cpu: Expr, x: Wide, coefficients: readonly bigint[], alternates: Expr): Wide {
  let sum = wide(coefficients.at(-1) as bigint);
  for (const coefficient of coefficients.slice(0, -1).reverse()) {
    const term = multiplyWide(f, link, cpu, sum, x);
    const more = addWide(f, wide(coefficient), term);
    const less = subtractWide(f, wide(coefficient), term);
    sum = selectWide(f, alternates, less, more);
  }
  return sum;
}
