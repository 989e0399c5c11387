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
  geU,
  gtU,
  i32,
  i64,
  type Local,
  ltS,
  ltU,
  or,
  select,
  shl,
  shrU,
  sub,
  wrap,
  xor,
} from '@minusone/wasm';
import { type Subroutine, subroutine } from '../../../semantics/subroutine.ts';
import { normalizeAndRound } from '../../../softfloat/add.ts';
import { readSlot, Slot } from '../../../softfloat/scratch.ts';
import { divideWide, multiplyHalf, multiplyWide, ONE, polynomial, selectWide, shiftRight, type Wide } from '../../../softfloat/wide.ts';
import { coefficients, factorial } from './constants.ts';

type Link = (subroutine: Subroutine) => FunctionRef;

/** sin(z) / z = 1 - z^2 / 3! + z^4 / 5! ... and cos(z): for z up to pi / 4 what is left out is below 2^-95. */
const SINE_SERIES = coefficients(14, (k) => factorial(2 * k + 1));
const COSINE_SERIES = [ONE - 1n, ...coefficients(15, (k) => factorial(2 * k)).slice(1)];

/**
 * pi / 2 in units of 2^-65, as the processor has pi: with 66 bits (SDM Vol. 1, 8.3.8 "Approximation of Pi"). Its top two bits, and the rest.
 */
const HALF_PI_HIGH = 3n;
const HALF_PI_LOW = 0x243f_6a88_85a3_08d3n;
/** The largest number (in these units, its high and low word) that is nearer to 0 than to pi / 2. */
const QUARTER_PI_HIGH = 1n;
const QUARTER_PI_LOW = 0x921f_b544_42d1_8469n;

/** An angle brought near to zero: a floating-point Wide up to pi / 4 and its sign, and how many quarter turns were taken off, modulo 4. */
interface Reduced {
  readonly z: Wide;
  readonly exponent: Expr;
  readonly sign: Expr;
  readonly quarters: Expr;
}

/** Reduces |A|, which is finite, not zero and below 2^63, exactly by the processor's pi / 2. */
function reduce(f: FunctionBuilder, cpu: Expr): Reduced {
  const a = readSlot(f, cpu, Slot.A);
  const high = f.local('i64');
  const low = f.local('i64');
  const exponent = f.local('i32');
  const sign = f.local('i32');
  const quarters = f.local('i32');
  f.set(high, a.significand);
  f.set(exponent, a.exponent);
  f.if(geS(a.exponent, i32(-1)), () => {
    // significand * 2^(exponent + 2), in units of 2^-65, by long division, one bit at a time.
    const rest = f.local('i64');
    const steps = f.local('i32');
    f.set(rest, a.significand);
    f.set(high, i64(0));
    f.set(steps, add(a.exponent, i32(66)));
    const isGreater = (otherHigh: bigint, otherLow: bigint): Expr =>
      or(gtU(high, i64(otherHigh)), and(eq(high, i64(otherHigh)), geU(low, i64(BigInt.asIntN(64, otherLow)))));
    const subtractHalfPi = (fromHigh: Expr, fromLow: Expr, takeHigh: Expr, takeLow: Expr): void => {
      const borrow = f.let(extendU(ltU(fromLow, takeLow)));
      const difference = f.let(sub(fromLow, takeLow));
      f.set(high, sub(sub(fromHigh, takeHigh), borrow));
      f.set(low, difference);
    };
    f.loop((again) => {
      f.set(high, or(shl(high, i64(1)), shrU(low, i64(63))));
      f.set(low, or(shl(low, i64(1)), shrU(rest, i64(63))));
      f.set(rest, shl(rest, i64(1)));
      f.set(quarters, shl(quarters, i32(1)));
      f.if(isGreater(HALF_PI_HIGH, HALF_PI_LOW), () => {
        subtractHalfPi(high, low, i64(HALF_PI_HIGH), i64(HALF_PI_LOW));
        f.set(quarters, or(quarters, i32(1)));
      });
      f.set(steps, sub(steps, i32(1)));
      f.brIf(again, steps);
    });
    f.if(isGreater(QUARTER_PI_HIGH, QUARTER_PI_LOW + 1n), () => {
      subtractHalfPi(i64(HALF_PI_HIGH), i64(HALF_PI_LOW), high, low);
      f.set(sign, i32(1));
      f.set(quarters, add(quarters, i32(1)));
    });
    // Normalize high:low * 2^-65.
    f.if(
      eqz(high),
      () => {
        f.set(high, low);
        f.set(low, i64(0));
        f.set(exponent, i32(-2));
      },
      () => f.set(exponent, i32(62)),
    );
    const leading = f.let(clz(high));
    const moved = select(eqz(leading), i64(0), shrU(low, sub(i64(64), leading)));
    f.set(high, or(shl(high, leading), moved));
    f.set(low, shl(low, leading));
    f.set(exponent, sub(exponent, wrap(leading)));
  });
  return {
    z: { high: f.let(high), low: f.let(low) },
    exponent: f.let(exponent),
    sign: f.let(sign),
    quarters: f.let(and(quarters, i32(3))),
  };
}

/** A sine or cosine as a floating-point Wide with its sign. */
interface Value {
  readonly value: Wide;
  readonly exponent: Expr;
  readonly sign: Expr;
}

/** Sine and cosine of A. */
function sineAndCosine(f: FunctionBuilder, link: Link, cpu: Expr): { sine: Value; cosine: Value } {
  const { z, exponent, sign, quarters } = reduce(f, cpu);
  const a = readSlot(f, cpu, Slot.A);
  const fixed = shiftRight(f, z, sub(i32(0), exponent));
  const square = multiplyWide(f, link, cpu, fixed, fixed);
  const sine = multiplyHalf(f, link, cpu, z, polynomial(f, link, cpu, square, SINE_SERIES, i32(1)));
  const cosine = polynomial(f, link, cpu, square, COSINE_SERIES, i32(1));
  // Quarter turns: sin, cos, -sin, -cos and cos, -sin, -cos, sin.
  const isOdd = f.let(and(quarters, i32(1)));
  const isHalfTurn = f.let(shrU(quarters, i32(1)));
  const sineExponent = f.let(add(exponent, i32(1)));
  const exponentOf = (isCosine: Expr): Expr => f.let(select(isCosine, i32(0), sineExponent));
  return {
    sine: {
      value: selectWide(f, isOdd, cosine, sine),
      exponent: exponentOf(isOdd),
      sign: f.let(xor(xor(a.sign, isHalfTurn), select(isOdd, i32(0), sign))),
    },
    cosine: {
      value: selectWide(f, isOdd, sine, cosine),
      exponent: exponentOf(xor(isOdd, i32(1))),
      sign: f.let(xor(isHalfTurn, select(isOdd, xor(sign, i32(1)), i32(0)))),
    },
  };
}

/** Rounds into the result slot. A value of zero cannot occur: no number of 64 bits is a multiple of the processor's pi / 2 but zero. */
function roundValue(f: FunctionBuilder, link: Link, cpu: Expr, control: Expr, { value, exponent, sign }: Value): void {
  f.return(f.call(link(normalizeAndRound), cpu, control, sign, exponent, value.high, or(value.low, i64(1))));
}

/** (cpu, control) -> flags, without DE: R = the function of A, which is finite, not zero and below 2^63 in magnitude. */
export const sine: Subroutine = subroutine('x87.sine', { params: ['i32', 'i32'], results: ['i32'] }, (f, link) => {
  const [cpu, control] = f.params as [Local, Local];
  roundValue(f, link, cpu, control, sineAndCosine(f, link, cpu).sine);
});
export const cosine: Subroutine = subroutine('x87.cosine', { params: ['i32', 'i32'], results: ['i32'] }, (f, link) => {
  const [cpu, control] = f.params as [Local, Local];
  roundValue(f, link, cpu, control, sineAndCosine(f, link, cpu).cosine);
});
export const tangent: Subroutine = subroutine('x87.tangent', { params: ['i32', 'i32'], results: ['i32'] }, (f, link) => {
  const [cpu, control] = f.params as [Local, Local];
  // Of tiny numbers the tangent is the number itself, and a little more.
  const a = readSlot(f, cpu, Slot.A);
  const itself = { value: { high: a.significand, low: i64(0) }, exponent: a.exponent, sign: a.sign };
  f.if(ltS(a.exponent, i32(-64)), () => roundValue(f, link, cpu, control, itself));
  const { sine: numerator, cosine: denominator } = sineAndCosine(f, link, cpu);
  const n = normalize(f, numerator);
  const d = normalize(f, denominator);
  const quotient = divideWide(f, link, cpu, n.value, d.value);
  roundValue(f, link, cpu, control, {
    value: quotient,
    exponent: sub(n.exponent, d.exponent),
    sign: xor(numerator.sign, denominator.sign),
  });
});

/** The same number with the top bit set. */
function normalize(f: FunctionBuilder, { value, exponent, sign }: Value): Value {
  const leading = f.let(clz(value.high));
  const moved = select(eqz(leading), i64(0), shrU(value.low, sub(i64(64), leading)));
  return {
    value: { high: f.let(or(shl(value.high, leading), moved)), low: f.let(shl(value.low, leading)) },
    exponent: f.let(sub(exponent, wrap(leading))),
    sign,
  };
}
