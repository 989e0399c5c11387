import { InternalError } from '@minusone/core';
import * as wasm from '@minusone/wasm';
import { type Expr, i32, i64, ModuleBuilder } from '@minusone/wasm';
import { describe, expect, test } from 'vitest';
import { instantiate, operation } from '../test-support/compile.ts';

// What the Core Specification (4.3.2) says of each operation, over unbounded integers: `s` and `u` are an operand's signed and unsigned value.
const TRAP = 'trap';
type Reference = (a: bigint, b: bigint, width: 32 | 64) => bigint | boolean | typeof TRAP;
const u = (x: bigint, width: number): bigint => BigInt.asUintN(width, x);

const BINARY: Record<string, Reference> = {
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: (a, b) => a * b,
  divS: (a, b, w) => (b === 0n || (b === -1n && a === -(1n << BigInt(w - 1))) ? TRAP : a / b),
  divU: (a, b, w) => (b === 0n ? TRAP : u(a, w) / u(b, w)),
  remS: (a, b) => (b === 0n ? TRAP : a % b),
  remU: (a, b, w) => (b === 0n ? TRAP : u(a, w) % u(b, w)),
  and: (a, b) => a & b,
  or: (a, b) => a | b,
  xor: (a, b) => a ^ b,
  shl: (a, b, w) => a << (u(b, w) % BigInt(w)),
  shrS: (a, b, w) => a >> (u(b, w) % BigInt(w)),
  shrU: (a, b, w) => u(a, w) >> (u(b, w) % BigInt(w)),
  rotl: (a, b, w) => (u(a, w) * ((1n << BigInt(w)) + 1n) * (1n << (u(b, w) % BigInt(w)))) >> BigInt(w),
  rotr: (a, b, w) => (u(a, w) * ((1n << BigInt(w)) + 1n)) >> (u(b, w) % BigInt(w)),
  eq: (a, b) => a === b,
  ne: (a, b) => a !== b,
  ltS: (a, b) => a < b,
  ltU: (a, b, w) => u(a, w) < u(b, w),
  gtS: (a, b) => a > b,
  gtU: (a, b, w) => u(a, w) > u(b, w),
  leS: (a, b) => a <= b,
  leU: (a, b, w) => u(a, w) <= u(b, w),
  geS: (a, b) => a >= b,
  geU: (a, b, w) => u(a, w) >= u(b, w),
};

const bits = (x: bigint, width: number): string => u(x, width).toString(2).padStart(width, '0');
const UNARY: Record<string, (x: bigint, width: 32 | 64) => bigint | boolean> = {
  clz: (x, w) => BigInt(`${bits(x, w)}1`.indexOf('1')),
  ctz: (x, w) => BigInt([...bits(x, w)].reverse().concat('1').indexOf('1')),
  popcnt: (x, w) => BigInt([...bits(x, w)].filter((bit) => bit === '1').length),
  eqz: (x) => x === 0n,
  signExtend8: (x) => BigInt.asIntN(8, x),
  signExtend16: (x) => BigInt.asIntN(16, x),
  signExtend32: (x) => BigInt.asIntN(32, x),
};

const CORNERS = {
  32: [0n, 1n, 2n, 7n, 31n, 32n, 33n, 0x7fn, 0x80n, 0xffn, 0x8000n, 0x12345678n, 0x7fffffffn, -0x80000000n, -1n, -2n, -0x7fn, -0x8000n],
  64: [
    ...[0n, 1n, 3n, 31n, 32n, 63n, 64n, 65n, 0x80n, 0x8000n, 0x7fffffffn, 0x80000000n, 0xffffffffn, 0x100000000n, 0x123456789abcdef0n],
    ...[0x7fffffffffffffffn, -0x8000000000000000n, -1n, -2n, -0x80000000n, -0x100000000n],
  ],
} as const;

const constant = (x: bigint, width: 32 | 64): Expr => (width === 32 ? i32(Number(x)) : i64(x));
const argument = (x: bigint, width: 32 | 64): number | bigint => (width === 32 ? Number(x) : x);
function outcome(call: () => number | bigint): bigint | typeof TRAP {
  try {
    return BigInt(call());
  } catch (error) {
    if (error instanceof WebAssembly.RuntimeError) return TRAP;
    throw error;
  }
}
/** What the export gives for a reference value: signed, of the result's width. */
const expected = (value: bigint | boolean | typeof TRAP, width: number): bigint | typeof TRAP =>
  value === TRAP ? TRAP : typeof value === 'boolean' ? BigInt(value) : BigInt.asIntN(width, value);

describe.each([32, 64] as const)('operations on i%i (Core Specification 4.3.2)', (width) => {
  const type = width === 32 ? 'i32' : 'i64';

  test.each(Object.keys(BINARY))('%s, computed and folded alike, on every pair of corner values', (name) => {
    const build = operation(name);
    const builder = new ModuleBuilder();
    const one = constant(1n, width);
    const result = build(one, one).type;
    const corners = CORNERS[width];
    builder.function('xx', { params: [type, type], results: [result] }, (f) => f.return(build(f.params[0]!, f.params[1]!)), {
      export: true,
    });
    for (const [i, a] of corners.entries()) {
      const known = constant(a, width);
      const unary = { params: [type], results: [result] } as const;
      builder.function(`c${i}x`, unary, (f) => f.return(build(known, f.params[0]!)), { export: true });
      builder.function(`x${i}c`, unary, (f) => f.return(build(f.params[0]!, known)), { export: true });
      for (const [j, b] of corners.entries()) {
        builder.function(`${i},${j}`, { params: [], results: [result] }, (f) => f.return(build(known, constant(b, width))), {
          export: true,
        });
      }
    }
    const exports = instantiate(builder);
    const arity = result === 'i32' ? 32 : 64;
    for (const [i, a] of corners.entries()) {
      for (const [j, b] of corners.entries()) {
        const want = expected(BINARY[name]!(a, b, width), arity);
        const got = [
          outcome(() => exports.xx!(argument(a, width), argument(b, width))),
          outcome(() => exports[`c${i}x`]!(argument(b, width))),
          outcome(() => exports[`x${j}c`]!(argument(a, width))),
          outcome(() => exports[`${i},${j}`]!()),
        ];
        expect(got, `${name}(${a}, ${b})`).toEqual([want, want, want, want]);
      }
    }
  });

  test.each(Object.keys(UNARY))('%s, computed and folded alike', (name) => {
    const build = name.startsWith('signExtend')
      ? (x: Expr): Expr => wasm.signExtend(x, Number(name.slice(10)) as 8 | 16 | 32)
      : operation(name);
    const builder = new ModuleBuilder();
    const result = build(constant(0n, width)).type;
    builder.function('x', { params: [type], results: [result] }, (f) => f.return(build(f.params[0]!)), { export: true });
    for (const [i, x] of CORNERS[width].entries()) {
      builder.function(`c${i}`, { params: [], results: [result] }, (f) => f.return(build(constant(x, width))), { export: true });
    }
    const exports = instantiate(builder);
    for (const [i, x] of CORNERS[width].entries()) {
      const want = expected(UNARY[name]!(x, width), result === 'i32' ? 32 : 64);
      expect([BigInt(exports.x!(argument(x, width))), BigInt(exports[`c${i}`]!())], `${name}(${x})`).toEqual([want, want]);
    }
  });

  test('operands of different types, and floats where integers belong, are refused as the tree is built', () => {
    const other = width === 32 ? i64(5) : i32(5);
    for (const name of Object.keys(BINARY)) {
      const build = operation(name);
      expect(() => build(constant(5n, width), other), name).toThrow(InternalError);
      expect(() => build(wasm.load(type, i32(0)), other), name).toThrow(InternalError);
      const onFloats = ['add', 'sub', 'mul', 'eq', 'ne'].includes(name);
      if (!onFloats) expect(() => build(wasm.f64(1), wasm.f64(2)), name).toThrow(InternalError);
    }
  });
});
