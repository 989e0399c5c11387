import { InternalError } from '@minusone/core';
import {
  convertS,
  convertU,
  demote,
  type Expr,
  f32,
  f64,
  i32,
  i64,
  load,
  promote,
  reinterpret,
  truncSatS,
  truncSatU,
} from '@minusone/wasm';
import { describe, expect, test } from 'vitest';
import { compileExpr, operation } from '../test-support/compile.ts';

const CORNERS = [
  ...[
    0,
    -0,
    1,
    -1,
    0.5,
    -0.5,
    1.5,
    2.5,
    -2.5,
    3.999,
    1e10,
    -1e10,
    2 ** 24,
    2 ** 31,
    -(2 ** 31),
    2 ** 32,
    2 ** 52 + 0.5,
    2 ** 63,
    -(2 ** 63),
    2 ** 64,
  ],
  ...[1e300, 1e-45, 5e-324, Number.MAX_VALUE, Number.EPSILON, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NaN],
];

/** Ties to even, which Math.round does not do. */
function nearest(x: number): number {
  if (!Number.isFinite(x) || Math.abs(x) >= 2 ** 52) return x;
  const below = Math.floor(x);
  const rounded = x - below === 0.5 ? below + (below % 2 === 0 ? 0 : 1) : Math.round(x);
  return rounded === 0 && (x < 0 || Object.is(x, -0)) ? -0 : rounded;
}
const negative = (x: number): boolean => x < 0 || Object.is(x, -0);
const BINARY: Record<string, (a: number, b: number) => number | boolean> = {
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: (a, b) => a * b,
  div: (a, b) => a / b,
  min: Math.min,
  max: Math.max,
  copysign: (a, b) => (negative(b) ? -Math.abs(a) : Math.abs(a)),
  eq: (a, b) => a === b,
  ne: (a, b) => a !== b,
  lt: (a, b) => a < b,
  gt: (a, b) => a > b,
  le: (a, b) => a <= b,
  ge: (a, b) => a >= b,
};
const UNARY: Record<string, (x: number) => number> = {
  abs: Math.abs,
  neg: (x) => -x,
  ceil: Math.ceil,
  floor: Math.floor,
  trunc: Math.trunc,
  nearest,
  sqrt: Math.sqrt,
};

// Math.fround of the double result is the correctly rounded single one for these operations on singles (double rounding is harmless at 2p + 2 bits).
describe.each(['f32', 'f64'] as const)('operations on %s (Core Specification 4.3.3)', (type) => {
  const round = type === 'f32' ? Math.fround : (x: number): number => x;
  const corners = [...new Set(CORNERS.map(round))];

  test.each(Object.keys(BINARY))('%s', (name) => {
    const comparison = typeof BINARY[name]!(0, 0) === 'boolean';
    const fn = compileExpr([type, type], comparison ? 'i32' : type, operation(name));
    for (const a of corners) {
      for (const b of corners) {
        const want = BINARY[name]!(a, b);
        if (name === 'copysign' && Number.isNaN(b)) continue; // its sign cannot be seen from JavaScript
        expect(fn(a, b), `${name}(${a}, ${b})`).toBe(typeof want === 'boolean' ? Number(want) : round(want));
      }
    }
  });

  test.each(Object.keys(UNARY))('%s', (name) => {
    const fn = compileExpr([type], type, operation(name));
    for (const x of corners) expect(fn(x), `${name}(${x})`).toBe(round(UNARY[name]!(x)));
  });

  test('constants', () => {
    const constant = type === 'f32' ? f32 : f64;
    for (const x of CORNERS) {
      expect(compileExpr([], type, () => constant(x))(), String(x)).toBe(round(x));
      expect(constant(x).constant).toBe(round(x));
    }
  });

  test('truncSat saturates and takes NaN for 0', () => {
    for (const [to, width] of [
      ['i32', 32],
      ['i64', 64],
    ] as const) {
      const signed = compileExpr([type], to, (x) => truncSatS(x, to));
      const unsigned = compileExpr([type], to, (x) => truncSatU(x, to));
      for (const x of corners) {
        const clamp = (low: bigint, high: bigint): bigint => {
          if (Number.isNaN(x)) return 0n;
          if (!Number.isFinite(x)) return x < 0 ? low : high;
          const whole = BigInt(Math.trunc(x));
          return whole < low ? low : whole > high ? high : whole;
        };
        const half = 1n << BigInt(width - 1);
        expect(BigInt(signed(x)), `truncSatS(${x}, ${to})`).toBe(clamp(-half, half - 1n));
        expect(BigInt.asUintN(width, BigInt(unsigned(x))), `truncSatU(${x}, ${to})`).toBe(clamp(0n, 2n * half - 1n));
      }
    }
  });

  test('convert rounds to nearest even', () => {
    for (const n of [0, 1, -1, 0x1000001, 0x7fffffff, -0x80000000]) {
      expect(compileExpr(['i32'], type, (x) => convertS(x, type))(n)).toBe(round(n));
      expect(compileExpr(['i32'], type, (x) => convertU(x, type))(n)).toBe(round(n >>> 0));
    }
    // Exactly representable in both types, so that the expectation does not depend on how JavaScript rounds.
    for (const n of [0n, 1n, -1n, 1n << 40n, -(1n << 63n), (1n << 24n) - 1n]) {
      expect(compileExpr(['i64'], type, (x) => convertS(x, type))(n)).toBe(Number(n));
      expect(compileExpr(['i64'], type, (x) => convertU(x, type))(n)).toBe(round(Number(BigInt.asUintN(64, n))));
    }
  });
});

test('promote, demote and reinterpret', () => {
  expect(compileExpr(['f32'], 'f64', promote)(Math.fround(0.1))).toBe(Math.fround(0.1));
  expect(compileExpr(['f64'], 'f32', demote)(0.1)).toBe(Math.fround(0.1));
  expect(compileExpr(['f32'], 'i32', reinterpret)(-1)).toBe(0xbf800000 | 0);
  expect(compileExpr(['i32'], 'f32', reinterpret)(0xbf800000)).toBe(-1);
  expect(compileExpr(['f64'], 'i64', reinterpret)(1)).toBe(0x3ff0000000000000n);
  expect(compileExpr(['i64'], 'f64', reinterpret)(0x3ff0000000000000n)).toBe(1);
});

test('a constant NaN keeps its bits through reinterpretation', () => {
  expect(compileExpr([], 'i32', () => reinterpret(reinterpret(i32(0xffa12345))))()).toBe(0xffa12345 | 0);
  // From memory, since an engine may quieten a NaN that leaves the module as a number.
  const bits = compileExpr([], 'i64', () => reinterpret(reinterpret(i64(0xfff4_0000_0000_0001n))));
  expect(BigInt.asUintN(64, bits())).toBe(0xfff4_0000_0000_0001n);
});

test('operands of the wrong type are refused as the tree is built', () => {
  const int: Expr = load('i32', i32(0));
  for (const name of ['div', 'min', 'max', 'copysign', 'lt', 'gt', 'le', 'ge']) {
    expect(() => operation(name)(int, int), name).toThrow(InternalError);
    expect(() => operation(name)(f32(1), f64(1)), name).toThrow(InternalError);
  }
  for (const name of Object.keys(UNARY)) expect(() => operation(name)(int), name).toThrow(InternalError);
  expect(() => promote(f64(1))).toThrow(InternalError);
  expect(() => demote(f32(1))).toThrow(InternalError);
  expect(() => convertS(f32(1), 'f64')).toThrow(InternalError);
  expect(() => truncSatU(int, 'i64')).toThrow(InternalError);
});
