import { expect, test } from 'vitest';
import { addSubtract } from './add.ts';
import { Control } from './control.ts';
import { divide } from './divide.ts';
import { multiply } from './multiply.ts';
import { pack80 } from './pack.ts';
import { Slot } from './scratch.ts';
import { squareRoot } from './square-root.ts';
import { extended, near, randomSource } from './testing/corners.ts';
import { type FormatLimits, product, quotient, type Rational, root, roundExactly, sum } from './testing/exact.ts';
import { CPU, instantiate } from './testing/instantiate.ts';
import { unpack80 } from './unpack.ts';

/** Where the result is stored: in the memory that tests have, below the CPU's state. */
const RESULT = 16;
const PER_OPERATION = 1500;
const DENORMAL = 2;

const wasm = instantiate([unpack80, pack80, addSubtract, multiply, divide, squareRoot]);
type Number80 = ReturnType<typeof extended>;

function rational({ significand, signExponent }: Number80): Rational {
  const exponent = Math.max(signExponent & 0x7fff, 1) - 16383 - 63;
  const sign = (signExponent >> 15) as 0 | 1;
  if (exponent >= 0) return { sign, numerator: significand << BigInt(exponent), denominator: 1n };
  return { sign, numerator: significand, denominator: 1n << BigInt(-exponent) };
}

const limits = (precision: number): FormatLimits => ({ precision, least: -16382, greatest: 16383 });

/** What the format holds, as text: the x87's encoding of sign * integer * 2^exponent. */
function encode(sign: number, integer: bigint, exponent: number, infinite: boolean): string {
  if (infinite) return `${((sign << 15) | 0x7fff).toString(16)}.8000000000000000`;
  let significand = integer;
  let field = exponent + 63 + 16383;
  while (significand !== 0n && significand < 1n << 63n && field > 1) {
    significand <<= 1n;
    field--;
  }
  while (significand >= 1n << 64n || field < 1) {
    significand >>= 1n;
    field++;
  }
  if (significand < 1n << 63n) field = 0;
  return `${((sign << 15) | field).toString(16)}.${significand.toString(16).padStart(16, '0')}`;
}

const operations = [
  ['sum', addSubtract.name, [0], sum],
  ['difference', addSubtract.name, [1], (a: Rational, b: Rational) => sum(a, { ...b, sign: (b.sign ^ 1) as 0 | 1 })],
  ['product', multiply.name, [], product],
  ['quotient', divide.name, [], quotient],
  ['square root', squareRoot.name, [], (a: Rational) => root(a)],
] as const;

test.each(operations)(
  'the %s is the exact one, rounded once, in each precision and rounding mode (SDM Vol. 1, 4.8.4 and 8.1.5)',
  (what, name, extra, exact) => {
    const random = randomSource(what.length * 77);
    let checked = 0;
    while (checked < PER_OPERATION) {
      const a = extended(random);
      let b = extended(random);
      if (random() % 2 === 0) b = { significand: b.significand, signExponent: near(random, a.signExponent) };
      const isNonzero = ({ significand, signExponent }: Number80): boolean =>
        (signExponent & 0x7fff) !== 0x7fff && significand !== 0n && significand >> 63n === ((signExponent & 0x7fff) === 0 ? 0n : 1n);
      if (!isNonzero(a) || !isNonzero(b) || (what === 'square root' && a.signExponent >> 15)) continue;
      const result = exact(rational(a), rational(b));
      if (result.numerator === 0n) continue;
      checked++;
      const precision = [24, 53, 64][random() % 3] as number;
      const rc = random() % 4;
      const call = wasm.call as Record<string, (...args: (number | bigint)[]) => number>;
      call[unpack80.name]?.(CPU + Slot.A, BigInt.asIntN(64, a.significand), a.signExponent);
      call[unpack80.name]?.(CPU + Slot.B, BigInt.asIntN(64, b.significand), b.signExponent);
      const flags = call[name]?.(CPU, rc | Control.UM | Control.OM | (precision << 16), ...extra) as number;
      call[pack80.name]?.(CPU, RESULT);
      const ours = `${wasm.view.getUint16(RESULT + 8, true).toString(16)}.${wasm.view.getBigUint64(RESULT, true).toString(16).padStart(16, '0')} ${flags & ~DENORMAL}`;
      const rounded = roundExactly(result, limits(precision), rc);
      const expected = `${encode(result.sign, rounded.integer, rounded.exponent, rounded.infinite)} ${rounded.flags}`;
      const context = `${a.signExponent.toString(16)}.${a.significand.toString(16)}, ${b.signExponent.toString(16)}.${b.significand.toString(16)} rc ${rc} precision ${precision}: `;
      if (ours !== expected) expect(context + ours).toBe(context + expected);
    }
  },
);

test('one third in the four rounding modes (SDM Vol. 1, 4.8.4)', () => {
  const call = wasm.call as Record<string, (...args: (number | bigint)[]) => number>;
  const thirdIn = (rc: number): string => {
    call[unpack80.name]?.(CPU + Slot.A, BigInt.asIntN(64, 1n << 63n), 0x3fff);
    call[unpack80.name]?.(CPU + Slot.B, BigInt.asIntN(64, 3n << 62n), 0x4000);
    call[divide.name]?.(CPU, rc | (64 << 16));
    call[pack80.name]?.(CPU, RESULT);
    return wasm.view.getBigUint64(RESULT, true).toString(16);
  };
  // 1/3 = 0.0101...: nearest and up end in ...ab, down and towards zero in ...aa.
  expect([0, 1, 2, 3].map(thirdIn)).toEqual(['aaaaaaaaaaaaaaab', 'aaaaaaaaaaaaaaaa', 'aaaaaaaaaaaaaaab', 'aaaaaaaaaaaaaaaa']);
});
