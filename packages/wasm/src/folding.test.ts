import * as wasm from '@minusone/wasm';
import {
  add,
  and,
  type Expr,
  eqz,
  extendU,
  i32,
  i64,
  load,
  ltU,
  mul,
  ne,
  or,
  reinterpret,
  select,
  shrU,
  sub,
  wrap,
  xor,
} from '@minusone/wasm';
import { expect, test } from 'vitest';
import { codeOf, compile, compileExpr, operation } from '../test-support/compile.ts';

const GET = 2; // bytes of local.get

test('neutral elements leave the operand, absorbing ones the constant', () => {
  const alone: ((x: Expr) => Expr)[] = [
    (x) => add(x, i32(0)),
    (x) => sub(x, i32(0)),
    (x) => mul(i32(1), x),
    (x) => and(x, i32(-1)),
    (x) => or(i32(0), x),
    (x) => xor(x, i32(0)),
    (x) => shrU(x, i32(32)),
    (x) => wrap(extendU(x)),
    (x) => wrap(wasm.extendS(x)),
    (x) => sub(add(x, i32(5)), i32(5)),
    (x) => reinterpret(reinterpret(x)),
  ];
  for (const of of alone) expect(codeOf(['i32'], of), String(of)).toBe(GET);
  expect(codeOf(['i64'], (x) => and(x, i64(0)))).toBe(2);
  expect(codeOf(['i64'], (x) => or(x, i64(-1)))).toBe(2);
});

test('what can trap or has an effect is not dropped', () => {
  expect(() => compileExpr([], 'i32', () => and(load('i32', i32(0x10000)), i32(0)))()).toThrow(WebAssembly.RuntimeError);
  expect(() => compileExpr(['i32'], 'i32', (x) => mul(wasm.divU(i32(1), x), i32(0)))(0)).toThrow(WebAssembly.RuntimeError);
  expect(() => compileExpr(['i32'], 'i32', (x) => select(i32(1), x, wasm.remU(x, x)))(0)).toThrow(WebAssembly.RuntimeError);
  expect(() => compile({ params: [], results: [] }, (f) => f.drop(load('i32', i32(-1))))()).toThrow(WebAssembly.RuntimeError);
});

test('constants of a chain are gathered: (x + c1) + c2, and for and, or, xor', () => {
  expect(codeOf(['i32'], (x) => add(add(x, i32(1)), i32(2)))).toBe(GET + 3);
  expect(codeOf(['i64'], (x) => add(i64(2), sub(x, i64(1))))).toBe(GET + 3);
  expect(compileExpr(['i64'], 'i64', (x) => add(i64(2n ** 63n - 1n), sub(x, i64(-1))))(5n)).toBe(BigInt.asIntN(64, 2n ** 63n + 5n));
  expect(compileExpr(['i32'], 'i32', (x) => and(and(x, i32(0xff0)), i32(0x3fc)))(-1)).toBe(0x3f0);
  expect(compileExpr(['i32'], 'i32', (x) => xor(xor(x, i32(0xff0)), i32(0x3fc)))(0)).toBe(0xff0 ^ 0x3fc);
});

test('a mask over what is already narrower is left out, and only then', () => {
  const byte = (pointer: Expr): Expr => load('i32', pointer, { bytes: 1 });
  const plain = codeOf(['i32'], byte);
  expect(codeOf(['i32'], (p) => and(byte(p), i32(0xff)))).toBe(plain);
  expect(codeOf(['i32'], (p) => and(byte(p), i32(0xffff)))).toBe(plain);
  expect(codeOf(['i32'], (p) => and(byte(p), i32(0x7f)))).toBeGreaterThan(plain);
  const signed = (pointer: Expr): Expr => load('i32', pointer, { bytes: 1, signed: true });
  expect(codeOf(['i32'], (p) => and(signed(p), i32(0xff)))).toBeGreaterThan(plain);
  expect(codeOf(['i32'], (x) => and(extendU(x), i64(0xffffffff)))).toBe(GET + 1);
  expect(codeOf(['i32'], (x) => and(extendU(x), i64(0x7fffffff)))).toBeGreaterThan(GET + 1);
  expect(codeOf(['i32'], (x) => and(ltU(x, i32(4)), i32(1)))).toBe(GET + 3);
  expect(codeOf(['i64'], (x) => and(shrU(x, i64(48)), i64(0xffff)))).toBe(GET + 3);
  expect(codeOf(['i64'], (x) => and(shrU(x, i64(47)), i64(0xffff)))).toBeGreaterThan(GET + 3);
  expect(codeOf(['i32'], (x) => and(shrU(x, x), i32(0xffff)))).toBeGreaterThan(GET + GET + 1);
});

test('eqz inverts an integer comparison, and never a float one (NaN)', () => {
  for (const name of ['eq', 'ne', 'ltS', 'ltU', 'gtS', 'gtU', 'leS', 'leU', 'geS', 'geU'] as const) {
    for (const type of ['i32', 'i64'] as const) {
      const of = (a: Expr, b: Expr): Expr => eqz(operation(name)(a, b));
      expect(codeOf([type, type], of), name).toBe(GET + GET + 1);
      const inverse = compileExpr([type, type], 'i32', of);
      const plain = compileExpr([type, type], 'i32', (a, b) => operation(name)(a, b));
      for (const a of [-2, -1, 0, 1, 2]) {
        for (const b of [-2, -1, 0, 1, 2]) {
          const [x, y] = type === 'i32' ? [a, b] : [BigInt(a), BigInt(b)];
          expect(inverse(x, y), `!${name}(${a}, ${b})`).toBe(1 - plain(x, y));
        }
      }
    }
  }
  for (const name of ['lt', 'gt', 'le', 'ge', 'eq', 'ne'] as const) {
    expect(compileExpr(['f64'], 'i32', (a) => eqz(operation(name)(a, a)))(Number.NaN), name).toBe(name === 'ne' ? 0 : 1);
  }
});

test('a wrapped narrow 64-bit load is the 32-bit load', () => {
  const memory = new WebAssembly.Memory({ initial: 1 });
  new DataView(memory.buffer).setUint32(8, 0xfedc8a98, true);
  const type = { params: ['i32'], results: ['i32'] } as const;
  for (const [bytes, signed, want] of [
    [1, false, 0x98],
    [1, true, 0x98 - 0x100],
    [2, false, 0x8a98],
    [2, true, 0x8a98 - 0x10000],
    [4, false, 0xfedc8a98 | 0],
    [4, true, 0xfedc8a98 | 0],
  ] as const) {
    const fn = compile(type, (f) => f.return(wrap(load('i64', f.params[0]!, { offset: 4, bytes, signed }))), memory);
    expect(fn(4)).toBe(want);
  }
});

test('conditions are asked only whether they are zero', () => {
  const choose = compileExpr(['i32', 'i32'], 'i32', (a, b) => select(ne(a, i32(0)), i32(10), b));
  expect([choose(7, 20), choose(0, 20)]).toEqual([10, 20]);
  const inverted = compileExpr(['i32', 'i32'], 'i32', (a, b) => select(eqz(a), i32(10), b));
  expect([inverted(7, 20), inverted(0, 20)]).toEqual([20, 10]);
});

test('a constant offset is not folded into a pointer, whose addition wraps around', () => {
  const memory = new WebAssembly.Memory({ initial: 1 });
  new DataView(memory.buffer).setUint32(4, 77, true);
  const fn = compile({ params: ['i32'], results: ['i32'] }, (f) => f.return(load('i32', add(f.params[0]!, i32(12)))), memory);
  expect(fn(-8)).toBe(77);
});
