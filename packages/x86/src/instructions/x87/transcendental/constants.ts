import { ONE } from '../../../softfloat/wide.ts';

/**
 * Constants of the transcendental instructions, computed from their series when the module is loaded, to more bits than are used. All are fractions of 2^127, as `Wide` has them.
 */
const GUARD = 64n;
const UNIT = ONE << GUARD;

/** Sum of s^(2k+1) / (2k+1), alternating or not: arctangent or its hyperbolic kin, of 1/n. */
function arcOfInverse(n: bigint, alternates: boolean): bigint {
  let power = UNIT / n;
  let sum = 0n;
  for (let k = 1n; power > 0n; k += 2n) {
    sum += alternates && k % 4n === 3n ? -(power / k) : power / k;
    power /= n * n;
  }
  return sum;
}

const unguarded = (x: bigint): bigint => (x + (1n << (GUARD - 1n))) >> GUARD;

/** pi / 4, by Machin's formula: 4 arctan(1/5) - arctan(1/239). */
const QUARTER_PI_GUARDED = 4n * arcOfInverse(5n, true) - arcOfInverse(239n, true);
/** ln 2 = 2 artanh(1/3). */
const LN2_GUARDED = 2n * arcOfInverse(3n, false);

export const HALF_PI: bigint = unguarded(2n * QUARTER_PI_GUARDED);
export const QUARTER_PI: bigint = unguarded(QUARTER_PI_GUARDED);
export const LN2: bigint = unguarded(LN2_GUARDED);
/** 1 / ln 2, which is log2(e). */
export const LOG2E: bigint = unguarded((UNIT * UNIT) / LN2_GUARDED);

/** arctan(k / 8) for k from 0 to 8. */
export const ARCTAN_EIGHTHS: readonly bigint[] = Array.from({ length: 9 }, (_, k) => (k === 8 ? QUARTER_PI : arctangent(BigInt(k))));

function arctangent(eighths: bigint): bigint {
  let power = (UNIT * eighths) / 8n;
  let sum = 0n;
  for (let k = 1n; power > 0n; k += 2n) {
    sum += k % 4n === 3n ? -(power / k) : power / k;
    power = (power * eighths * eighths) / 64n;
  }
  return unguarded(sum);
}

/** 1 / divisor(k) for k from 0 on, as coefficients of a polynomial; the first is just below 1, as what comes of it is never exact. */
export function coefficients(count: number, divisor: (k: number) => bigint): bigint[] {
  return Array.from({ length: count }, (_, k) => (k === 0 ? ONE / divisor(0) - 1n : ONE / divisor(k)));
}

export function factorial(n: number): bigint {
  return n <= 1 ? 1n : BigInt(n) * factorial(n - 1);
}
