import { InternalError } from '@minusone/core';
import { type Expr, f32, f64, i32, i64, load, reinterpret, simd, v128 } from '@minusone/wasm';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { compile } from '../test-support/compile.ts';
import { F32X4, F64X2, I8X16, I16X8, I32X4, I64X2 } from './simd-opcodes.ts';

// Lane by lane, over unbounded integers, as the Core Specification (4.3.2 and 4.3.3) defines them.

type Lanes = bigint[];
const read = (bytes: Uint8Array, width: number, signed: boolean): Lanes =>
  Array.from({ length: 128 / width }, (_, i) => {
    const raw = bytes.slice((i * width) / 8, ((i + 1) * width) / 8).reduceRight((value, byte) => (value << 8n) | BigInt(byte), 0n);
    return signed ? BigInt.asIntN(width, raw) : raw;
  });
const write = (lanes: Lanes, width: number): Uint8Array =>
  Uint8Array.from(lanes.flatMap((lane) => Array.from({ length: width / 8 }, (_, i) => Number(BigInt.asUintN(8, lane >> BigInt(8 * i))))));
const clamp = (x: bigint, low: bigint, high: bigint): bigint => (x < low ? low : x > high ? high : x);
const saturateS = (x: bigint, width: number): bigint => clamp(x, -(1n << BigInt(width - 1)), (1n << BigInt(width - 1)) - 1n);
const saturateU = (x: bigint, width: number): bigint => clamp(x, 0n, (1n << BigInt(width)) - 1n);
const magnitude = (x: bigint): bigint => (x < 0n ? -x : x);

const ascending = (a: bigint, b: bigint): number => (a < b ? -1 : a > b ? 1 : 0);

/** Operations on pairs of lanes; whether the lanes are signed is told by the name's end. */
const LANEWISE: Record<string, (a: bigint, b: bigint, width: number) => bigint | boolean> = {
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: (a, b) => a * b,
  eq: (a, b) => a === b,
  ne: (a, b) => a !== b,
  lt: (a, b) => a < b,
  gt: (a, b) => a > b,
  le: (a, b) => a <= b,
  ge: (a, b) => a >= b,
  min: (a, b) => [a, b].sort(ascending)[0]!,
  max: (a, b) => [a, b].sort(ascending)[1]!,
  avgr: (a, b) => (a + b + 1n) >> 1n,
  q15mulrSat: (a, b, width) => saturateS((a * b + 0x4000n) >> 15n, width),
};

function integerBinary(name: string, width: number, a: Uint8Array, b: Uint8Array): Uint8Array {
  const signed = !name.endsWith('U');
  const root = name.replace(/[SU]$/, '');
  if (name === 'swizzle') return Uint8Array.from(b, (i) => (i < 16 ? a[i]! : 0));
  if (root === 'narrow') {
    const wide = [...read(a, 2 * width, true), ...read(b, 2 * width, true)];
    return write(
      wide.map((x) => (signed ? saturateS : saturateU)(x, width)),
      width,
    );
  }
  if (root === 'addSat' || root === 'subSat') {
    const [x, y] = [read(a, width, signed), read(b, width, signed)];
    return write(
      x.map((lane, i) => (signed ? saturateS : saturateU)(root === 'addSat' ? lane + y[i]! : lane - y[i]!, width)),
      width,
    );
  }
  if (root === 'extmulLow' || root === 'extmulHigh' || root === 'dot') {
    const [x, y] = [read(a, width / 2, signed), read(b, width / 2, signed)];
    const products = x.map((lane, i) => lane * y[i]!);
    const half = products.length / 2;
    if (root === 'dot')
      return write(
        Array.from({ length: half }, (_, i) => products[2 * i]! + products[2 * i + 1]!),
        width,
      );
    return write(root === 'extmulLow' ? products.slice(0, half) : products.slice(half), width);
  }
  const [x, y] = [read(a, width, signed), read(b, width, signed)];
  return write(
    x.map((lane, i) => {
      const result = LANEWISE[root]!(lane, y[i]!, width);
      return typeof result === 'boolean' ? -BigInt(result) : result;
    }),
    width,
  );
}

function integerUnary(name: string, width: number, a: Uint8Array): Uint8Array {
  const signed = !name.endsWith('U');
  const root = name.replace(/[SU]$/, '');
  const half = 64 / width;
  const narrow = width > 8 ? read(a, width / 2, signed) : [];
  if (name === 'abs') return write(read(a, width, true).map(magnitude), width);
  if (name === 'neg')
    return write(
      read(a, width, true).map((x) => -x),
      width,
    );
  if (name === 'popcnt') return a.map((x) => [...x.toString(2)].filter((bit) => bit === '1').length);
  if (root === 'extendLow') return write(narrow.slice(0, 2 * half), width);
  if (root === 'extendHigh') return write(narrow.slice(2 * half), width);
  if (root === 'extaddPairwise')
    return write(
      Array.from({ length: 2 * half }, (_, i) => narrow[2 * i]! + narrow[2 * i + 1]!),
      width,
    );
  const floats = root === 'truncSatZero' ? [...new Float64Array(a.slice().buffer), 0, 0] : [...new Float32Array(a.slice().buffer)];
  const truncate = (x: number): bigint => (Number.isNaN(x) ? 0n : BigInt(clampNumber(Math.trunc(x))));
  return write(
    floats.map((x) => (signed ? saturateS : saturateU)(truncate(x), 32)),
    32,
  );
}
const clampNumber = (x: number): number => Math.min(Math.max(x, -(2 ** 40)), 2 ** 40);

function integerShift(name: string, width: number, a: Uint8Array, count: number): Uint8Array {
  const n = BigInt((count >>> 0) % width);
  return write(
    read(a, width, name === 'shrS').map((x) => (name === 'shl' ? x << n : x >> n)),
    width,
  );
}

const memory = new WebAssembly.Memory({ initial: 1 });
const at = (address: number): Uint8Array => new Uint8Array(memory.buffer, address, 16);
/** Compiles an operation on two vectors and a count; it runs on what it is handed, and gives a vector. */
function vectorOperation(of: (a: Expr, b: Expr, count: Expr) => Expr): (a: Uint8Array, b: Uint8Array, count?: number) => Uint8Array {
  const fn = compile(
    { params: ['i32'], results: [] },
    (f) => f.store(i32(64), of(load('v128', i32(0)), load('v128', i32(32)), f.params[0]!)),
    memory,
  );
  return (a, b, count = 0) => {
    at(0).set(a);
    at(32).set(b);
    at(64).fill(0x5a);
    fn(count);
    return at(64).slice();
  };
}

const corner = fc.constantFrom(0, 1, 2, 0x7f, 0x80, 0x81, 0xff);
const bytes = fc
  .array(fc.oneof(corner, fc.integer({ min: 0, max: 255 })), { minLength: 16, maxLength: 16 })
  .map((lanes) => Uint8Array.from(lanes));
const hex = (x: Uint8Array): string => [...x].map((byte) => byte.toString(16).padStart(2, '0')).join(' ');
const RUNS = { numRuns: 60, seed: 1 };
const functions = (shape: object): Record<string, (...operands: Expr[]) => Expr> => shape as never;

const INTEGERS = [
  ['i8x16', 8, I8X16],
  ['i16x8', 16, I16X8],
  ['i32x4', 32, I32X4],
  ['i64x2', 64, I64X2],
] as const;

describe.each(INTEGERS)('%s', (shapeName, width, table) => {
  const shape = functions(simd[shapeName]);

  test.each(Object.keys(table.binary))('%s', (name) => {
    const run = vectorOperation((a, b) => shape[name]!(a, b));
    fc.assert(
      fc.property(bytes, bytes, (a, b) => void expect(hex(run(a, b))).toBe(hex(integerBinary(name, width, a, b)))),
      RUNS,
    );
  });

  test.each(Object.keys(table.unary))('%s', (name) => {
    const run = vectorOperation((a) => shape[name]!(a));
    fc.assert(
      fc.property(bytes, (a) => void expect(hex(run(a, a))).toBe(hex(integerUnary(name, width, a)))),
      RUNS,
    );
    if (!name.startsWith('truncSat')) return;
    for (const x of [0, -0.9, 1.5, -7.9, 1e9, 3e9, 5e9, -3e9, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
      const a: Uint8Array = new Uint8Array(
        name.includes('Zero') ? new Float64Array([x, -x]).buffer : new Float32Array([x, -x, x, 2]).buffer,
      );
      expect(hex(run(a, a)), `${name}(${x})`).toBe(hex(integerUnary(name, width, a)));
    }
  });

  test.each(Object.keys(table.shift))('%s, its count modulo the width', (name) => {
    const run = vectorOperation((a, _b, count) => shape[name]!(a, count));
    fc.assert(
      fc.property(
        bytes,
        fc.constantFrom(0, 1, 7, 8, 15, 31, 33, 63, 64, 127, -1),
        (a, count) => void expect(hex(run(a, a, count))).toBe(hex(integerShift(name, width, a, count))),
      ),
      RUNS,
    );
  });

  test('allTrue and bitmask', () => {
    const { allTrue, bitmask } = simd[shapeName];
    const run = vectorOperation((a) => simd.i32x4.replaceLane(simd.i32x4.splat(allTrue(a)), 1, bitmask(a)));
    fc.assert(
      fc.property(bytes, (a) => {
        const lanes = read(a, width, true);
        const mask = lanes.reduce((bits, lane, i) => bits | (lane < 0n ? 1 << i : 0), 0);
        const all = lanes.every((lane) => lane !== 0n) ? 1n : 0n;
        expect(read(run(a, a), 32, false).slice(0, 2)).toEqual([all, BigInt(mask)]);
      }),
      RUNS,
    );
  });

  test('splat, extractLane and replaceLane, of every lane', () => {
    const operations = simd[shapeName] as unknown as Record<string, (...operands: unknown[]) => Expr>;
    for (let lane = 0; lane < table.lanes; lane++) {
      for (const name of Object.keys(table.extract)) {
        const run = vectorOperation((a) => (width === 64 ? simd.i64x2 : simd.i32x4).splat(operations[name]!(a, lane)));
        const a = Uint8Array.from({ length: 16 }, (_, i) => 0xf0 + i);
        const want = read(a, width, !name.endsWith('U'))[lane]!;
        expect(read(run(a, a), Math.max(32, width), true)[0], `${name} ${lane}`).toBe(BigInt.asIntN(Math.max(32, width), want));
      }
      const replaced = vectorOperation((a) => operations.replaceLane!(a, lane, width === 64 ? i64(0x1234) : i32(0x1234)));
      const zero = new Uint8Array(16);
      const want = Array<bigint>(table.lanes).fill(0n);
      want[lane] = BigInt.asUintN(width, 0x1234n);
      expect(read(replaced(zero, zero), width, false)).toEqual(want);
    }
    const splat = vectorOperation(() => operations.splat!(width === 64 ? i64(-5) : i32(-5)));
    expect(read(splat(at(0), at(0)), width, true)).toEqual(Array(table.lanes).fill(-5n));
    expect(() => operations.splat!(f32(1))).toThrow(InternalError);
    expect(() => operations.replaceLane!(v128(new Uint8Array(16)), table.lanes, width === 64 ? i64(0) : i32(0))).toThrow(InternalError);
  });
});

const negative = (x: number): boolean => x < 0 || Object.is(x, -0);
const FLOAT_BINARY: Record<string, (a: number, b: number) => number | boolean> = {
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: (a, b) => a * b,
  div: (a, b) => a / b,
  min: Math.min,
  max: Math.max,
  // Not Math.min and Math.max: the first operand unless the comparison holds, which it never does for NaN or between zeros.
  pmin: (a, b) => [a, b][Number(b < a)]!,
  pmax: (a, b) => [a, b][Number(a < b)]!,
  eq: (a, b) => a === b,
  ne: (a, b) => a !== b,
  lt: (a, b) => a < b,
  gt: (a, b) => a > b,
  le: (a, b) => a <= b,
  ge: (a, b) => a >= b,
};
const tiesToEven = (x: number): number => {
  const below = Math.floor(x);
  const rounded = x - below === 0.5 ? below + (below % 2 === 0 ? 0 : 1) : Math.round(x);
  return rounded === 0 && negative(x) ? -0 : rounded;
};
const FLOAT_UNARY: Record<string, (x: number) => number> = {
  abs: Math.abs,
  neg: (x) => -x,
  sqrt: Math.sqrt,
  ceil: Math.ceil,
  floor: Math.floor,
  trunc: Math.trunc,
  nearest: tiesToEven,
};
const FLOATS = [0, -0, 1, -1, 0.5, -1.5, 2.5, 3.75, 1e9, -1e9, 1e-40, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NaN];

describe.each([
  ['f32x4', F32X4, Float32Array],
  ['f64x2', F64X2, Float64Array],
] as const)('%s', (shapeName, table, Lanes) => {
  const shape = functions(simd[shapeName]);
  const vector = (...lanes: number[]): Uint8Array =>
    new Uint8Array(new Lanes(Array.from({ length: table.lanes }, (_, i) => lanes[i % lanes.length]!)).buffer);
  const lanes = (x: Uint8Array): number[] => [...new Lanes(x.slice().buffer)];
  const round = (x: number): number => Lanes.of(x)[0]!;

  test.each(Object.keys(table.binary))('%s', (name) => {
    const run = vectorOperation((a, b) => shape[name]!(a, b));
    for (const a of FLOATS.map(round)) {
      for (const b of FLOATS.map(round)) {
        const result = run(vector(a, b), vector(b, 1));
        const want = [FLOAT_BINARY[name]!(a, b), FLOAT_BINARY[name]!(b, 1)];
        if (typeof want[0] === 'boolean') {
          expect(read(result, 128 / table.lanes, true).slice(0, 2), `${name}(${a}, ${b})`).toEqual(want.map((holds) => -BigInt(holds)));
        } else expect(lanes(result).slice(0, 2), `${name}(${a}, ${b})`).toEqual((want as number[]).map(round));
      }
    }
  });

  test.each(Object.keys(table.unary).filter((name) => name in FLOAT_UNARY))('%s', (name) => {
    const run = vectorOperation((a) => shape[name]!(a));
    for (const x of FLOATS.map(round)) {
      expect(lanes(run(vector(x, 4), vector(0))).slice(0, 2), `${name}(${x})`).toEqual([
        round(FLOAT_UNARY[name]!(x)),
        round(FLOAT_UNARY[name]!(4)),
      ]);
    }
  });

  test('splat, extractLane and replaceLane', () => {
    const constant = shapeName === 'f32x4' ? f32 : f64;
    const run = vectorOperation((a) =>
      simd[shapeName].replaceLane(simd[shapeName].splat(constant(2.5)), 1, simd[shapeName].extractLane(a, 1)),
    );
    expect(lanes(run(vector(1, 7), vector(0))).slice(0, 2)).toEqual([2.5, 7]);
  });
});

test('conversions between shapes: convert, convertLow, promoteLow, demoteZero', () => {
  const ints = new Uint8Array(new Int32Array([-1, 0x7fffffff, 3, -0x80000000]).buffer);
  const singles = (x: Uint8Array): number[] => [...new Float32Array(x.buffer)];
  const doubles = (x: Uint8Array): number[] => [...new Float64Array(x.buffer)];
  const of = (operation: (x: Expr) => Expr, x: Uint8Array): Uint8Array => vectorOperation((a) => operation(a))(x, x);
  expect(singles(of(simd.f32x4.convertS, ints))).toEqual([-1, 2 ** 31, 3, -(2 ** 31)]);
  expect(singles(of(simd.f32x4.convertU, ints))).toEqual([2 ** 32, 2 ** 31, 3, 2 ** 31]);
  expect(doubles(of(simd.f64x2.convertLowS, ints))).toEqual([-1, 0x7fffffff]);
  expect(doubles(of(simd.f64x2.convertLowU, ints))).toEqual([0xffffffff, 0x7fffffff]);
  expect(doubles(of(simd.f64x2.promoteLow, new Uint8Array(new Float32Array([1.5, -2, 9, 9]).buffer)))).toEqual([1.5, -2]);
  expect(singles(of(simd.f32x4.demoteZero, new Uint8Array(new Float64Array([0.1, -2]).buffer)))).toEqual([Math.fround(0.1), -2, 0, 0]);
});

test('bits of whole vectors: and, or, xor, andnot, not, bitselect, anyTrue', () => {
  const { and, or, xor, andnot, not, bitselect, anyTrue } = simd.v128;
  const cases: [(a: Expr, b: Expr) => Expr, (a: number, b: number) => number][] = [
    [and, (a, b) => a & b],
    [or, (a, b) => a | b],
    [xor, (a, b) => a ^ b],
    [andnot, (a, b) => a & ~b],
    [(a) => not(a), (a) => ~a],
    [(a, b) => bitselect(a, b, v128(new Uint8Array(16).fill(0x3c))), (a, b) => (a & 0x3c) | (b & ~0x3c)],
    [(a) => simd.i8x16.splat(anyTrue(a)), () => 1],
  ];
  for (const [operation, reference] of cases) {
    const run = vectorOperation(operation);
    fc.assert(
      fc.property(bytes, bytes, (a, b) => {
        fc.pre(a.some((byte) => byte !== 0));
        expect(hex(run(a, b))).toBe(hex(a.map((byte, i) => reference(byte, b[i]!))));
      }),
      RUNS,
    );
  }
  expect(vectorOperation((a) => simd.i8x16.splat(anyTrue(a)))(new Uint8Array(16), at(0))[0]).toBe(0);
});

test('shuffle picks from both vectors', () => {
  const lanes = [31, 0, 16, 15, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22];
  const run = vectorOperation((a, b) => simd.shuffle(a, b, lanes));
  const a = Uint8Array.from({ length: 16 }, (_, i) => i);
  const b = Uint8Array.from({ length: 16 }, (_, i) => 16 + i);
  expect([...run(a, b)]).toEqual(lanes);
  const vector = v128(a);
  expect(() => simd.shuffle(vector, vector, [1])).toThrow(InternalError);
  expect(() => simd.shuffle(vector, vector, Array(16).fill(32))).toThrow(InternalError);
});

test('loads that extend, splat or replace one lane, and stores of one lane', () => {
  const data = Uint8Array.from({ length: 16 }, (_, i) => 0xf8 - 9 * i);
  const options = { offset: 1 };
  for (const [shape, width] of [
    ['i16x8', 16],
    ['i32x4', 32],
    ['i64x2', 64],
  ] as const) {
    for (const signed of [true, false]) {
      const run = vectorOperation(() => simd.loadExtend(shape, i32(0), { signed, offset: 1 }));
      const shifted = Uint8Array.from([...data.slice(1), 0]);
      expect(read(run(data, data), width, signed)).toEqual(read(shifted, width / 2, signed).slice(0, 128 / width));
    }
  }
  for (const count of [1, 2, 4, 8] as const) {
    const lanes = 16 / count;
    expect([...vectorOperation(() => simd.loadSplat(count, i32(0), options))(data, data)]).toEqual(
      Array.from({ length: 16 }, (_, i) => data[1 + (i % count)]),
    );
    for (let lane = 0; lane < lanes; lane++) {
      const want = new Uint8Array(16);
      want.set(data.slice(1, 1 + count), lane * count);
      const zero = v128(new Uint8Array(16));
      expect([...vectorOperation(() => simd.loadLane(count, i32(0), zero, lane, options))(data, data)]).toEqual([...want]);
      at(128).fill(0);
      compile({ params: [], results: [] }, (f) => f.storeLane(count, i32(127), v128(data), lane, options), memory)();
      expect([...at(128)]).toEqual([...data.slice(lane * count, (lane + 1) * count), ...Array(16 - count).fill(0)]);
    }
    expect(() => simd.loadLane(count, i32(0), v128(data), lanes)).toThrow(InternalError);
  }
});

test('every one of the 236 instructions of the SIMD proposal is there, once', () => {
  const numbers = [I8X16, I16X8, I32X4, I64X2, F32X4, F64X2].flatMap((table) =>
    [table.splat, table.extract, table.replace, table.unary, table.binary, table.shift, table.test].flatMap((form) => Object.values(form)),
  );
  const others = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 77, 78, 79, 80, 81, 82, 83, 84, 85, 86, 87, 88, 89, 90, 91, 92, 93];
  const all = [...(numbers as number[]), ...others].sort((a, b) => a - b);
  // The numbers below 256 that the specification leaves unused.
  const unused = [154, 162, 165, 166, 175, 176, 178, 179, 180, 187, 194, 197, 198, 207, 208, 210, 211, 212, 226, 238];
  expect(all).toEqual(Array.from({ length: 256 }, (_, i) => i).filter((i) => !unused.includes(i)));
  expect(all.length).toBe(236);
});

test('scalars are not vectors', () => {
  expect(() => simd.i32x4.add(i32(1), v128(new Uint8Array(16)))).toThrow(InternalError);
  expect(() => simd.i32x4.shl(v128(new Uint8Array(16)), i64(1))).toThrow(InternalError);
  expect(() => simd.v128.not(f64(1))).toThrow(InternalError);
  expect(() => reinterpret(v128(new Uint8Array(16)))).toThrow(InternalError);
  expect(() => v128(new Uint8Array(15))).toThrow(InternalError);
});
