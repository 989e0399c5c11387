/** IEEE 754 and the x87 over exact rationals: slow, obvious, and sharing nothing with the core. */

/** A finite number: sign * numerator / denominator. */
export interface Rational {
  readonly sign: 0 | 1;
  readonly numerator: bigint;
  readonly denominator: bigint;
}

/** A format: bits of precision, and the exponents of the least and greatest normal numbers. */
export interface FormatLimits {
  readonly precision: number;
  readonly least: number;
  readonly greatest: number;
}

/** A result: infinite, or integer * 2^exponent; with its exception flags (OE 8, UE 16, PE 32), all masked. */
export interface Rounded {
  readonly infinite: boolean;
  readonly integer: bigint;
  readonly exponent: number;
  readonly flags: number;
}

const power = (n: number): bigint => 1n << BigInt(n);
const bitLength = (x: bigint): number => x.toString(2).length;

/** Rounds numerator / denominator to a multiple of 2^exponent. */
function toMultiple({ sign, numerator, denominator }: Rational, exponent: number, rc: number): { integer: bigint; inexact: boolean } {
  const n = exponent < 0 ? numerator * power(-exponent) : numerator;
  const d = exponent > 0 ? denominator * power(exponent) : denominator;
  const floor = n / d;
  const twice = 2n * (n % d);
  const isUp =
    rc === 0
      ? twice > d || (twice === d && (floor & 1n) === 1n)
      : rc === 1
        ? sign === 1 && twice > 0n
        : rc === 2 && sign === 0 && twice > 0n;
  return { integer: floor + (isUp ? 1n : 0n), inexact: twice !== 0n };
}

/** Rounds a number other than zero, with every exception masked. RC as in MXCSR: nearest, down, up, zero. */
export function roundExactly(x: Rational, { precision, least, greatest }: FormatLimits, rc: number): Rounded {
  // The exponent of the number: 2^exponent <= x < 2^(exponent + 1).
  let exponent = bitLength(x.numerator) - bitLength(x.denominator);
  const isBelow = exponent >= 0 ? x.numerator < x.denominator * power(exponent) : x.numerator * power(-exponent) < x.denominator;
  if (isBelow) exponent--;
  const free = toMultiple(x, exponent - precision + 1, rc);
  const carried = free.integer === power(precision) ? 1 : 0;
  if (exponent + carried < least) {
    const { integer, inexact } = toMultiple(x, least - precision + 1, rc);
    return { infinite: false, integer, exponent: least - precision + 1, flags: inexact ? 48 : 0 };
  }
  if (exponent + carried > greatest) {
    const infinite = rc === 0 || rc === 2 - x.sign;
    return { infinite, integer: power(precision) - 1n, exponent: greatest - precision + 1, flags: 40 };
  }
  return { infinite: false, integer: free.integer, exponent: exponent - precision + 1, flags: free.inexact ? 32 : 0 };
}

export function sum(a: Rational, b: Rational): Rational {
  const of = ({ sign, numerator }: Rational): bigint => (sign === 1 ? -numerator : numerator);
  const total = of(a) * b.denominator + of(b) * a.denominator;
  return { sign: total < 0n ? 1 : 0, numerator: total < 0n ? -total : total, denominator: a.denominator * b.denominator };
}
export function product(a: Rational, b: Rational): Rational {
  return { sign: (a.sign ^ b.sign) as 0 | 1, numerator: a.numerator * b.numerator, denominator: a.denominator * b.denominator };
}
export function quotient(a: Rational, b: Rational): Rational {
  return product(a, { sign: b.sign, numerator: b.denominator, denominator: b.numerator });
}
/** The square root to 400 bits, and a little more where it is not exact. */
export function root(a: Rational): Rational {
  const scaled = (a.numerator * power(20000 + 800)) / a.denominator;
  const isExact = scaled * a.denominator === a.numerator * power(20000 + 800);
  let r = power(Math.ceil(bitLength(scaled) / 2));
  for (;;) {
    const next = (r + scaled / r) / 2n;
    if (next >= r) break;
    r = next;
  }
  const exact = isExact && r * r === scaled;
  return { sign: 0, numerator: 2n * r + (exact ? 0n : 1n), denominator: 2n * power(10400) };
}
