import { InternalError } from '@minusone/core';
import {
  add,
  type Expr,
  eqz,
  type FunctionBuilder,
  type FunctionType,
  f32,
  f64,
  i32,
  i64,
  i64hl,
  type Local,
  load,
  ltU,
  ModuleBuilder,
  mul,
  sub,
  type ValType,
  v128,
} from '@minusone/wasm';
import { describe, expect, test } from 'vitest';
import { compile, instantiate } from '../test-support/compile.ts';

const NONE: FunctionType = { params: [], results: [] };
const I32_TO_I32: FunctionType = { params: ['i32'], results: ['i32'] };

describe('locals', () => {
  test('of interleaved types keep their numbers and begin as zero', () => {
    const types: ValType[] = ['i32', 'i32', 'i64', 'f32', 'f32', 'i32', 'f64', 'v128', 'i64', 'i64', 'i32'];
    const fn = compile({ params: ['i64'], results: ['i64'] }, (f) => {
      const locals = types.map((type) => f.local(type));
      const values = { i32: i32(3), i64: i64(5), f32: f32(1), f64: f64(2), v128: v128(new Uint8Array(16)) };
      for (const local of locals.slice(0, -1)) f.set(local, values[local.type]);
      f.if(locals.at(-1)!, () => f.unreachable());
      f.return(add(add(locals[8]!, f.params[0]!), locals[9]!));
    });
    expect(fn(100n)).toBe(110n);
  });

  test('let keeps the value of its moment, gives constants back, and the same for what let has given', () => {
    let same = false;
    const fn = compile(I32_TO_I32, (f) => {
      const [x] = f.params;
      const before = f.let(x!);
      f.set(x!, i32(1000));
      const constant = i32(1);
      const vector = v128(new Uint8Array(16));
      same = f.let(before) === before && f.let(constant) === constant && f.let(vector) === vector;
      f.return(add(before, x!));
    });
    expect([fn(5), same]).toEqual([1005, true]);
  });

  test('scratch gives the locals of its values free for others, but none that was there before', () => {
    const sizes: number[] = [];
    for (const scopes of [2, 50]) {
      const builder = new ModuleBuilder();
      const body = (f: FunctionBuilder): void => {
        const [x] = f.params as [Local];
        const before = f.let(add(x, i32(1)));
        const sum = f.local('i32');
        for (let n = 0; n < scopes; n++) {
          f.scratch(() => {
            const inner = f.let(add(before, i32(n)));
            const chosen = f.ifExpr(
              'i32',
              x,
              () => inner,
              () => i32(0),
            );
            f.set(sum, add(sum, chosen));
          });
        }
        f.return(add(sum, before));
      };
      builder.function(
        'test',
        I32_TO_I32,
        (f) => {
          body(f);
          sizes.push(f.local('i32').index);
        },
        { export: true },
      );
      const { test } = instantiate(builder);
      // The sum of before + n for each scope, and before.
      expect(test?.(6)).toBe(7 * scopes + (scopes * (scopes - 1)) / 2 + 7);
      expect(test?.(0)).toBe(1);
    }
    expect(sizes[1]).toBe(sizes[0]);
  });

  test('a prologue comes before what was built first', () => {
    const fn = compile(I32_TO_I32, (f) => {
      const [x] = f.params as [Local];
      const loaded = f.local('i32');
      f.block((out) => {
        f.brIf(out, x);
        f.set(loaded, add(loaded, i32(100)));
      });
      f.return(loaded);
      f.prologue(() => f.set(loaded, add(x, i32(7))));
    });
    expect([fn(0), fn(1)]).toEqual([107, 8]);
  });

  test('a set and the get that follows become a tee, but not across the start of a loop or another local', () => {
    const fn = compile({ params: ['i32', 'i32'], results: ['i32'] }, (f) => {
      const [n, total] = f.params;
      f.set(total!, i32(0));
      f.loop((again) => {
        f.set(total!, add(total!, n!)); // the get follows the loop's start
        f.set(n!, sub(n!, i32(1)));
        f.brIf(again, n!);
      });
      f.return(total!);
    });
    expect(fn(4, 99)).toBe(10);
    const twice = compile(I32_TO_I32, (f) => {
      const x = f.let(add(f.params[0]!, i32(1)));
      f.return(mul(x, x));
    });
    expect(twice(6)).toBe(49);
  });
});

describe('control', () => {
  test('if and otherwise, ifExpr, and arms that leave the function', () => {
    const fn = compile(I32_TO_I32, (f) => {
      const [x] = f.params;
      const size = f.ifExpr(
        'i32',
        ltU(x!, i32(10)),
        () => i32(1),
        () => {
          f.if(ltU(i32(1000), x!), () => f.return(i32(-1)));
          return i32(2);
        },
      );
      f.if(
        eqz(x!),
        () => f.return(i32(0)),
        () => f.return(mul(size, i32(10))),
      );
    });
    expect([0, 5, 50, 5000].map((x) => fn(x))).toEqual([0, 10, 20, -1]);
  });

  test('of a constant condition only the arm taken is built', () => {
    const built: string[] = [];
    compile(NONE, (f) => {
      for (const c of [0, 1]) {
        f.if(
          i32(c),
          () => built.push('then'),
          () => built.push('otherwise'),
        );
      }
      f.block((out) => f.brIf(out, i32(0)));
    })();
    expect(built).toEqual(['otherwise', 'then']);
  });

  test('branches count the scopes between: out of three blocks, and back to an outer loop', () => {
    const fn = compile(I32_TO_I32, (f) => {
      const [x] = f.params;
      const trace = f.local('i32');
      const digit = (d: number): void => f.set(trace, add(mul(trace, i32(10)), i32(d)));
      f.loop((again) => {
        f.block((outer) => {
          f.block((middle) => {
            f.block((inner) => {
              f.brTable(x!, [inner, middle, outer], outer);
            });
            digit(1);
          });
          digit(2);
        });
        digit(3);
        f.set(x!, add(x!, i32(1)));
        f.if(ltU(x!, i32(3)), () => f.br(again));
      });
      f.return(trace);
    });
    expect([0, 1, 2, 3, -1].map((x) => fn(x))).toEqual([123233, 233, 3, 3, 3123233]);
  });

  test('the imperative scopes do the same', () => {
    const fn = compile(I32_TO_I32, (f) => {
      const [x] = f.params;
      const total = f.local('i32');
      const out = f.openBlock();
      const again = f.openLoop();
      f.brIf(out, eqz(x!));
      const odd = f.openIf(load('i32', mul(x!, i32(4)))); // zero: memory is empty
      f.set(total, i32(-1000));
      f.br(odd);
      f.else();
      f.set(total, add(total, x!));
      f.close();
      f.set(x!, sub(x!, i32(1)));
      f.br(again);
      f.set(total, i32(7)); // unreachable code validates
      f.close();
      f.close();
      f.return(total);
    });
    expect(fn(5)).toBe(15);
  });

  test('scopes that do not match are refused', () => {
    const builder = new ModuleBuilder();
    builder.function('f', NONE, (f) => {
      expect(() => f.close()).toThrow(InternalError);
      const closed = f.openBlock();
      expect(() => f.else()).toThrow(InternalError);
      f.close();
      expect(() => f.br(closed)).toThrow(InternalError);
      f.openLoop();
    });
    expect(() => builder.toBytes()).toThrow(InternalError);
  });

  test('falling off the end of a function with results traps', () => {
    expect(() => compile({ params: [], results: ['f64'] }, () => {})()).toThrow(WebAssembly.RuntimeError);
  });

  test('several results', () => {
    expect(compile({ params: ['i32'], results: ['i32', 'i64'] }, (f) => f.return(f.params[0]!, i64(9)))(4)).toEqual([4, 9n]);
  });
});

describe('calls', () => {
  test('a tail call takes the place of its caller: a million deep, direct and through the table', () => {
    const builder = new ModuleBuilder();
    builder.importTable('host', 'table', { initial: 2 });
    const type: FunctionType = { params: ['i32', 'i64'], results: ['i64'] };
    const even = builder.declareFunction('even', type);
    const odd = builder.function('odd', type, (f) => {
      const [n, total] = f.params;
      f.if(eqz(n!), () => f.return(total!));
      f.returnCall(even, sub(n!, i32(1)), add(total!, i64(1)));
    });
    builder.defineFunction(even, (f) => {
      const [n, total] = f.params;
      f.if(eqz(n!), () => f.return(total!));
      f.returnCallIndirect({ params: ['i32', 'i64'], results: ['i64'] }, i32(1), sub(n!, i32(1)), add(total!, i64(2)));
    });
    builder.exportFunction('run', even);
    builder.elements(0, [even, odd]);
    const { run } = instantiate(builder, { host: { table: new WebAssembly.Table({ initial: 2, element: 'anyfunc' }) } });
    expect(run!(1_000_000, 0n)).toBe(1_500_000n);
  });

  test('imports, recursion, indirect calls with their type checked', () => {
    const builder = new ModuleBuilder();
    const seen: number[] = [];
    const log = builder.importFunction('host', 'log', { params: ['i32'], results: [] });
    const next = builder.importFunction('host', 'next', I32_TO_I32);
    builder.importTable('host', 'table', { initial: 4 });
    const fib = builder.declareFunction('fib', I32_TO_I32);
    builder.defineFunction(fib, (f) => {
      const [n] = f.params;
      f.if(ltU(n!, i32(2)), () => f.return(n!));
      f.return(add(f.call(fib, sub(n!, i32(1))), f.call(fib, sub(n!, i32(2)))));
    });
    builder.elements(2, [fib, log]);
    builder.function(
      'main',
      I32_TO_I32,
      (f) => {
        f.callVoid(log, f.call(next, f.params[0]!));
        f.callVoid(next, i32(1)); // its result is dropped
        f.callIndirectVoid({ params: ['i32'], results: [] }, i32(3), i32(-5));
        f.return(f.callIndirect(I32_TO_I32, i32(2), f.params[0]!));
      },
      { export: 'start' },
    );
    builder.function('wrong', NONE, (f) => f.drop(f.callIndirect(I32_TO_I32, i32(3), i32(0))), { export: true });
    const table = new WebAssembly.Table({ initial: 4, element: 'anyfunc' });
    const { start, wrong } = instantiate(builder, { host: { log: (x: number) => seen.push(x), next: (x: number) => x + 1, table } });
    expect(start!(10)).toBe(55);
    expect(seen).toEqual([11, -5]);
    expect(() => wrong!()).toThrow(WebAssembly.RuntimeError);
  });

  test('arguments and results of the wrong type or number are refused', () => {
    const builder = new ModuleBuilder();
    const id = builder.function('id', I32_TO_I32, (f) => f.return(f.params[0]!));
    builder.function('g', { params: [], results: ['i64'] }, (f) => {
      expect(() => f.call(id)).toThrow(InternalError);
      expect(() => f.call(id, i64(1))).toThrow(InternalError);
      expect(() => f.returnCall(id, i32(1))).toThrow(InternalError);
      expect(() => f.return(i32(1))).toThrow(InternalError);
      expect(() => f.return()).toThrow(InternalError);
      expect(() => f.if(i64(1), () => {})).toThrow(InternalError);
      expect(() => f.set(f.local('f32'), f64(1))).toThrow(InternalError);
      expect(() => f.store(i64(0), i32(0))).toThrow(InternalError);
      expect(() => f.store(i32(0), f64(0), { bytes: 4 })).toThrow(InternalError);
      expect(() => f.call({ index: 9, name: 'v', type: NONE } as never)).toThrow(InternalError);
    });
  });
});

describe('memory', () => {
  const bytes = Array.from({ length: 16 }, (_, i) => 0xf8 - i * 7);
  const fresh = (): WebAssembly.Memory => {
    const memory = new WebAssembly.Memory({ initial: 1 });
    new Uint8Array(memory.buffer).set(bytes, 101);
    return memory;
  };

  test.each([
    ...(['i32', 'i64'] as const).flatMap((type) =>
      ([1, 2, 4, 8] as const)
        .filter((n) => n <= (type === 'i32' ? 4 : 8))
        .flatMap((n) => [true, false].map((signed) => ({ type, bytes: n, signed }))),
    ),
  ])('load $type of $bytes bytes, signed $signed, misaligned', ({ type, bytes: count, signed }) => {
    const fn = compile(
      { params: ['i32'], results: [type] },
      (f) => f.return(load(type, f.params[0]!, { offset: 100, bytes: count, signed })),
      fresh(),
    );
    const raw = bytes.slice(0, count).reduceRight((value, byte) => (value << 8n) | BigInt(byte), 0n);
    const value = signed ? BigInt.asIntN(count * 8, raw) : raw;
    expect(BigInt(fn(1))).toBe(BigInt.asIntN(type === 'i32' ? 32 : 64, value));
  });

  test('stores write their low bytes and nothing else', () => {
    for (const [type, counts] of [
      ['i32', [1, 2, 4]],
      ['i64', [1, 2, 4, 8]],
    ] as const) {
      for (const count of counts) {
        const memory = fresh();
        compile(
          { params: ['i32'], results: [] },
          (f) => {
            f.store(f.params[0]!, type === 'i32' ? i32(0x11223344) : i64hl(0x11223344, 0x55667788), { offset: 3, bytes: count });
          },
          memory,
        )(98);
        const source = type === 'i32' ? [0x44, 0x33, 0x22, 0x11] : [0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11];
        expect([...new Uint8Array(memory.buffer, 101, 16)]).toEqual([...source.slice(0, count), ...bytes.slice(count)]);
      }
    }
  });

  test('floats and vectors, whole; vectors by their low 4 and 8 bytes with zeros above', () => {
    const memory = fresh();
    compile(
      NONE,
      (f) => {
        f.store(i32(200), load('f64', i32(101)));
        f.store(i32(208), load('f32', i32(101)));
        f.store(i32(216), load('v128', i32(101)));
        f.store(i32(232), load('v128', i32(101), { bytes: 4 }));
        f.store(i32(248), load('v128', i32(101), { bytes: 8 }));
        f.store(i32(300), load('v128', i32(101)), { bytes: 4 });
        f.store(i32(304), load('v128', i32(101)), { bytes: 8 });
      },
      memory,
    )();
    const at = (address: number, count: number): number[] => [...new Uint8Array(memory.buffer, address, count)];
    expect(at(200, 8)).toEqual(bytes.slice(0, 8));
    expect(at(208, 4)).toEqual(bytes.slice(0, 4));
    expect(at(216, 16)).toEqual(bytes);
    expect(at(232, 16)).toEqual([...bytes.slice(0, 4), ...Array(12).fill(0)]);
    expect(at(248, 16)).toEqual([...bytes.slice(0, 8), ...Array(8).fill(0)]);
    expect(at(300, 12)).toEqual([...bytes.slice(0, 4), ...bytes.slice(0, 8)]);
    expect(at(312, 8)).toEqual(Array(8).fill(0));
  });

  test('an offset beyond 2^31 is unsigned and does not wrap around', () => {
    const fn = compile(I32_TO_I32, (f) => f.return(load('i32', f.params[0]!, { offset: 0xfffffffc })));
    expect(() => fn(8)).toThrow(WebAssembly.RuntimeError);
    expect(() => load('i32', i32(0), { offset: -1 })).toThrow(InternalError);
    expect(() => load('i32', i32(0), { bytes: 8 })).toThrow(InternalError);
  });

  test('bulk copy and fill', () => {
    const memory = fresh();
    compile(
      { params: ['i32'], results: [] },
      (f) => {
        f.memoryCopy(i32(105), f.params[0]!, i32(8)); // overlapping
        f.memoryFill(i32(400), i32(0x1ab), i32(3));
      },
      memory,
    )(101);
    expect([...new Uint8Array(memory.buffer, 105, 8)]).toEqual(bytes.slice(0, 8));
    expect([...new Uint8Array(memory.buffer, 399, 5)]).toEqual([0, 0xab, 0xab, 0xab, 0]);
  });
});

test('constants of every length of their encoding (LEB128)', () => {
  const builder = new ModuleBuilder();
  const numbers: bigint[] = [];
  for (let bit = 0n; bit < 64n; bit++)
    for (const d of [-1n, 0n, 1n]) for (const s of [1n, -1n]) numbers.push(BigInt.asIntN(64, s * (1n << bit) + d));
  numbers.forEach((n, i) => {
    const halves = i64hl(Number(BigInt.asIntN(32, n >> 32n)), Number(BigInt.asIntN(32, n)));
    builder.function(`l${i}`, { params: [], results: ['i64'] }, (f) => f.return(i64(n)), { export: true });
    builder.function(`h${i}`, { params: [], results: ['i64'] }, (f) => f.return(halves), { export: true });
    builder.function(`i${i}`, { params: [], results: ['i32'] }, (f) => f.return(i32(Number(BigInt.asIntN(32, n)))), { export: true });
    const safe: Expr = i64(Number(BigInt.asIntN(53, n)));
    expect(safe.constant).toBe(BigInt.asIntN(53, n));
  });
  const exports = instantiate(builder);
  numbers.forEach((n, i) => {
    expect([exports[`l${i}`]!(), exports[`h${i}`]!(), exports[`i${i}`]!()]).toEqual([n, n, Number(BigInt.asIntN(32, n))]);
  });
  expect(() => i64(0.5)).toThrow(InternalError);
});
