import { InternalError, InvalidArgumentError } from '@minusone/core';
import { add, type FunctionType, f64, i32, i64, ModuleBuilder } from '@minusone/wasm';
import { expect, test } from 'vitest';
import { instantiate } from '../test-support/compile.ts';

const NONE: FunctionType = { params: [], results: [] };

/** The function names in a module's names section (Core Specification, appendix 7.4), for names and indices below 128. */
function functionNames(bytes: Uint8Array<ArrayBuffer>): Record<number, string> {
  const [section] = WebAssembly.Module.customSections(new WebAssembly.Module(bytes), 'name');
  const data = new Uint8Array(section!);
  expect([data[0], data[1]]).toEqual([1, data.length - 2]);
  const names: Record<number, string> = {};
  let at = 3;
  for (let i = 0; i < data[2]!; i++) {
    const length = data[at + 1]!;
    names[data[at]!] = new TextDecoder().decode(data.subarray(at + 2, at + 2 + length));
    at += 2 + length;
  }
  expect(at).toBe(data.length);
  return names;
}

test('the names section names every function, imported ones first, and stack traces show it', () => {
  const builder = new ModuleBuilder();
  builder.importFunction('host', 'callback', NONE);
  builder.function('first', NONE, () => {});
  builder.function('Ünïcode', NONE, (f) => f.unreachable(), { export: 'u' });
  expect(functionNames(builder.toBytes())).toEqual({ 0: 'callback', 1: 'first', 2: 'Ünïcode' });
  const { u } = instantiate(builder, { host: { callback: () => {} } });
  let stack = '';
  try {
    u!();
  } catch (error) {
    stack = String((error as Error).stack);
  }
  expect(stack).toContain('Ünïcode');
});

test('equal function types are written once', () => {
  const types = (count: number): number => {
    const builder = new ModuleBuilder();
    for (let i = 0; i < 5; i++) {
      const results = i < count ? (['i32', 'i64', 'f32', 'f64', 'v128'] as const).slice(i, i + 1) : (['i32'] as const);
      builder.function('f', { params: ['i64'], results }, (f) => f.unreachable());
    }
    const bytes = builder.toBytes();
    expect(bytes[8]).toBe(1); // the type section comes first
    return bytes[10]!;
  };
  expect([types(1), types(3), types(5)]).toEqual([1, 3, 5]);
});

test('an empty module is valid', () => {
  expect(WebAssembly.validate(new ModuleBuilder().toBytes())).toBe(true);
});

test('memories: without and with a maximum, shared', () => {
  for (const options of [{ initial: 1 }, { initial: 1, maximum: 65536 }, { initial: 1, maximum: 300, shared: true }]) {
    const builder = new ModuleBuilder();
    builder.importMemory('host', 'memory', options);
    builder.function('f', NONE, (f) => f.store(i32(0), i32(1)), { export: true });
    const memory = new WebAssembly.Memory(options);
    instantiate(builder, { host: { memory } }).f!();
    expect(new Uint8Array(memory.buffer)[0]).toBe(1);
  }
  expect(() => new ModuleBuilder().importMemory('h', 'm', { initial: 1, shared: true })).toThrow(InvalidArgumentError);
});

test('globals, imported and defined', () => {
  const builder = new ModuleBuilder();
  const base = builder.importGlobal('host', 'base', 'i32');
  const shared = builder.importGlobal('host', 'shared', 'i64', { mutable: true });
  const count = builder.global(i32(40), { mutable: true, export: 'count' });
  const scale = builder.global(f64(0.5));
  builder.function(
    'f',
    { params: [], results: ['f64'] },
    (f) => {
      f.set(count, add(count, base));
      f.set(shared, add(shared, i64(1)));
      expect(() => f.set(scale, f64(1))).toThrow(InternalError);
      f.return(scale);
    },
    { export: true },
  );
  expect(() => builder.importGlobal('host', 'late', 'i32')).toThrow(InternalError);
  const sharedGlobal = new WebAssembly.Global({ value: 'i64', mutable: true }, 6n);
  const exports = instantiate(builder, { host: { base: 2, shared: sharedGlobal } });
  expect(exports.f!()).toBe(0.5);
  expect((exports.count as unknown as WebAssembly.Global).value).toBe(42);
  expect(sharedGlobal.value).toBe(7n);
});

test('misuse is refused: undefined or twice defined functions, foreign references, late imports', () => {
  const builder = new ModuleBuilder();
  const declared = builder.declareFunction('later', NONE);
  expect(() => builder.toBytes()).toThrow(/later is declared but not defined/);
  expect(() => new ModuleBuilder().defineFunction(declared, () => {})).toThrow(InternalError);
  builder.defineFunction(declared, () => {});
  expect(() => builder.defineFunction(declared, () => {})).toThrow(InternalError);
  expect(() => builder.importFunction('host', 'f', NONE)).toThrow(InternalError);
  expect(() => builder.global(add(i32(1), builder.global(i32(1))))).toThrow(InternalError);
});

test('a large module: sizes of more than one byte everywhere', () => {
  const builder = new ModuleBuilder();
  let size = 0;
  for (let i = 0; i < 300; i++) {
    builder.function(
      `f${i}`,
      { params: ['i32'], results: ['i32'] },
      (f) => {
        for (let j = 0; j < 100; j++) f.set(f.params[0]!, add(f.params[0]!, i32(i * j)));
        f.return(f.params[0]!);
        size += f.size;
      },
      { export: true },
    );
  }
  expect(builder.toBytes().length).toBeGreaterThan(size);
  expect(instantiate(builder).f299!(1)).toBe(1 + 299 * 4950);
});
