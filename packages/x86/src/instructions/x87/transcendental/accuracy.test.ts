import { expect, test } from 'vitest';
import { Control, Format } from '../../../softfloat/control.ts';
import { pack80 } from '../../../softfloat/pack.ts';
import { Slot } from '../../../softfloat/scratch.ts';
import { randomSource } from '../../../softfloat/testing/corners.ts';
import { CPU, instantiate } from '../../../softfloat/testing/instantiate.ts';
import { unpack80 } from '../../../softfloat/unpack.ts';
import { arctangent } from './arctangent.ts';
import { exponentialMinusOne } from './exponential.ts';
import { logarithm, logarithmPlusOne } from './logarithm.ts';
import { cosine, sine, tangent } from './trigonometric.ts';

// Reference values in fixed point with 400 bits behind the point, from textbook series without any of the argument reductions under test.
const BITS = 400n;
const UNIT = 1n << BITS;
const RESULT = 16;
const PER_FUNCTION = 200;

/** Sums first * (x * step(1)) * (x * step(2)) ... */
function series(first: bigint, next: (term: bigint, k: bigint) => bigint): bigint {
  let sum = 0n;
  let term = first;
  for (let k = 1n; term !== 0n; k++) {
    sum += term;
    term = next(term, k);
  }
  return sum;
}
const times = (a: bigint, b: bigint): bigint => (a * b) / UNIT;
const over = (a: bigint, b: bigint): bigint => (a * UNIT) / b;
const sineOf = (x: bigint): bigint => series(x, (t, k) => -times(times(t, x), x) / (2n * k * (2n * k + 1n)));
const cosineOf = (x: bigint): bigint => series(UNIT, (t, k) => -times(times(t, x), x) / ((2n * k - 1n) * (2n * k)));
const exponentialOf = (x: bigint): bigint => series(UNIT, (t, k) => times(t, x) / k);
/** artanh(x) for |x| < 1, arctan likewise, term by term. */
function arc(x: bigint, sign: bigint): bigint {
  let power = x;
  let sum = 0n;
  for (let k = 1n; power !== 0n; k += 2n) {
    sum += power / k;
    power = sign * times(times(power, x), x);
  }
  return sum;
}
const lnOf = (x: bigint): bigint => 2n * arc(over(x - UNIT, x + UNIT), 1n);
const LN2 = lnOf(2n * UNIT);
const PI = 16n * arc(UNIT / 5n, -1n) - 4n * arc(UNIT / 239n, -1n);

/** A positive number of the x87's format as fixed point. */
const fixed = (significand: bigint, exponent: number): bigint => (significand << (BITS - 63n)) >> BigInt(-exponent);

interface Checked {
  readonly name: string;
  readonly subroutine: { readonly name: string };
  /** Exponents of the operand A. */
  readonly from: number;
  readonly to: number;
  /** The function, of A and of B (1 where it has one operand). */
  readonly exact: (a: bigint, b: bigint) => bigint;
  readonly hasB: boolean;
}
const functions: Checked[] = [
  { name: '2^x - 1', subroutine: exponentialMinusOne, from: -40, to: -1, hasB: false, exact: (a) => exponentialOf(times(a, LN2)) - UNIT },
  { name: 'y log2(x)', subroutine: logarithm, from: -6, to: -1, hasB: true, exact: (a, b) => times(b, over(lnOf(a), LN2)) },
  {
    name: 'y log2(x + 1)',
    subroutine: logarithmPlusOne,
    from: -40,
    to: -3,
    hasB: true,
    exact: (a, b) => times(b, over(lnOf(a + UNIT), LN2)),
  },
  { name: 'sin x', subroutine: sine, from: -40, to: -1, hasB: false, exact: sineOf },
  { name: 'cos x', subroutine: cosine, from: -40, to: -1, hasB: false, exact: cosineOf },
  { name: 'tan x', subroutine: tangent, from: -40, to: -1, hasB: false, exact: (a) => over(sineOf(a), cosineOf(a)) },
  {
    name: 'arctan(y / x)',
    subroutine: arctangent,
    from: -6,
    to: -1,
    hasB: true,
    // The series converges slowly near 1: of steep angles take the other one, and of the rest twice the half angle's.
    exact: (a, b) => (b > a ? PI / 2n - 2n * arc(halfAngle(over(a, b)), -1n) : 2n * arc(halfAngle(over(b, a)), -1n)),
  },
];
/** tan(angle / 2) = t / (1 + root(1 + t^2)). */
function halfAngle(t: bigint): bigint {
  const square = UNIT * (UNIT + times(t, t));
  let root = UNIT * 2n;
  for (let next = (root + square / root) / 2n; next < root; next = (root + square / root) / 2n) root = next;
  return over(t, UNIT + root);
}

const wasm = instantiate([unpack80, pack80, exponentialMinusOne, logarithm, logarithmPlusOne, arctangent, sine, cosine, tangent]);
const call = wasm.call as Record<string, (...args: (number | bigint)[]) => number>;

test.each(functions)(
  '$name is nearer to the true value than one unit of the last place (SDM Vol. 1, 8.3.10)',
  ({ name, subroutine, from, to, exact, hasB }) => {
    const random = randomSource(name.length);
    const significand = (): bigint => (1n << 63n) | (BigInt(random()) << 32n) | BigInt(random()) | (random() % 4 === 0 ? 0xffff_ffffn : 0n);
    for (let n = 0; n < PER_FUNCTION; n++) {
      const exponents = [from, from].map((least) => least + (random() % (to - least + 1))) as [number, number];
      const [a, b] = [significand(), significand()];
      call[unpack80.name]?.(CPU + Slot.A, BigInt.asIntN(64, a), 16383 + exponents[0]);
      call[unpack80.name]?.(CPU + Slot.B, BigInt.asIntN(64, b), 16383 + exponents[1]);
      call[subroutine.name]?.(CPU, Control.UM | Control.OM | Format.X80);
      call[pack80.name]?.(CPU, RESULT);
      const signExponent = wasm.view.getUint16(RESULT + 8, true);
      const exponent = (signExponent & 0x7fff) - 16383;
      const ours =
        exponent > 0
          ? fixed(wasm.view.getBigUint64(RESULT, true), 0) << BigInt(exponent)
          : fixed(wasm.view.getBigUint64(RESULT, true), exponent);
      const truth = exact(fixed(a, exponents[0]), hasB ? fixed(b, exponents[1]) : UNIT);
      const ulp = exponent > 63 ? UNIT << BigInt(exponent - 63) : UNIT >> BigInt(63 - exponent);
      const error = (signExponent >> 15 ? -ours : ours) - truth;
      // Rounded to nearest, with some 2^-20 of a unit to spare for the arithmetic: far better than the bound of one unit.
      const bound = ulp / 2n + (ulp >> 16n);
      if (error > bound || error < -bound)
        expect(
          `${a.toString(16)}*2^${exponents[0]}, ${b.toString(16)}*2^${exponents[1]}: ${Number((error << 20n) / ulp) / 2 ** 20} ulp`,
        ).toBe('');
    }
  },
);
