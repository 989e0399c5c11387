import { describe, expect, test } from 'vitest';
import { runOnSilicon, type SiliconCase, siliconAvailable } from '../../../../tests/silicon/harness.ts';
import type { Subroutine } from '../semantics/subroutine.ts';
import * as softfloat from './index.ts';
import { binary32, binary64, integer, randomSource } from './testing/corners.ts';
import { CPU, type Instantiated, instantiate } from './testing/instantiate.ts';

const unavailable = siliconAvailable();
const PER_OPERATION = Number(process.env.SSE_CASES ?? 1000);

/** An entry point and the instruction that does the same: operands in XMM0 and XMM1 (or RAX), result in XMM0 (or RAX, or EFLAGS). */
interface Operation {
  readonly subroutine: Subroutine;
  readonly code: string;
  readonly operands: 'f32' | 'f64' | 'i32' | 'i64';
  readonly count: 1 | 2;
  readonly result: 'f32' | 'f64' | 'i32' | 'i64' | 'relation' | 'equal';
  readonly immediate?: number;
}
const operations: Operation[] = [];
for (const [type, prefix] of [
  ['f32', 'f3'],
  ['f64', 'f2'],
] as const) {
  const Named = softfloat as unknown as Record<string, Subroutine>;
  const of = (name: string): Subroutine => Named[`${type}${name}`] as Subroutine;
  for (const [name, opcode] of [
    ['Add', '58'],
    ['Mul', '59'],
    ['Sub', '5c'],
    ['Min', '5d'],
    ['Div', '5e'],
    ['Max', '5f'],
  ] as const)
    operations.push({ subroutine: of(name), code: `${prefix}0f${opcode}c1`, operands: type, count: 2, result: type });
  operations.push({ subroutine: of('Sqrt'), code: `${prefix}0f51c0`, operands: type, count: 1, result: type });
  const compare = type === 'f32' ? '' : '66';
  operations.push({ subroutine: of('Compare'), code: `${compare}0f2fc1`, operands: type, count: 2, result: 'relation' });
  operations.push({ subroutine: of('CompareQuiet'), code: `${compare}0f2ec1`, operands: type, count: 2, result: 'relation' });
  operations.push({ subroutine: of('ToI32'), code: `${prefix}0f2dc0`, operands: type, count: 1, result: 'i32' });
  operations.push({ subroutine: of('ToI64'), code: `${prefix}480f2dc0`, operands: type, count: 1, result: 'i64' });
  operations.push({ subroutine: of('ToI32Truncate'), code: `${prefix}0f2cc0`, operands: type, count: 1, result: 'i32' });
  operations.push({ subroutine: of('ToI64Truncate'), code: `${prefix}480f2cc0`, operands: type, count: 1, result: 'i64' });
  operations.push({
    subroutine: Named[`i32To${type.toUpperCase()}`] as Subroutine,
    code: `${prefix}0f2ac0`,
    operands: 'i32',
    count: 1,
    result: type,
  });
  operations.push({
    subroutine: Named[`i64To${type.toUpperCase()}`] as Subroutine,
    code: `${prefix}480f2ac0`,
    operands: 'i64',
    count: 1,
    result: type,
  });
  for (const immediate of [0, 1, 2, 3, 4, 9, 12])
    operations.push({
      subroutine: of('Round'),
      code: `660f3a${type === 'f32' ? '0a' : '0b'}c0${immediate.toString(16).padStart(2, '0')}`,
      operands: type,
      count: 1,
      result: type,
      immediate,
    });
}
operations.push({ subroutine: softfloat.f32ToF64, code: 'f30f5ac0', operands: 'f32', count: 1, result: 'f64' });
operations.push({ subroutine: softfloat.f64ToF32, code: 'f20f5ac0', operands: 'f64', count: 1, result: 'f32' });

function operand(type: Operation['operands'], random: () => number): number | bigint {
  if (type === 'f32') return binary32(random);
  if (type === 'f64') return binary64(random);
  return type === 'i32' ? Number(integer(random, 32)) : integer(random, 64);
}

describe.skipIf(unavailable)('soft float entry points for SSE, against the processor of this machine', () => {
  test.each(operations.map((operation) => [`${operation.subroutine.name} ${operation.immediate ?? ''}`, operation] as const))(
    '%s: result and exception flags for every rounding mode, masks, DAZ and FTZ (SDM Vol. 1, chapters 10 and 11)',
    async (_, operation) => {
      const wasm: Instantiated = instantiate([operation.subroutine, softfloat.simdFlags]);
      const random = randomSource(0x5eed + operations.indexOf(operation));
      const operands: (number | bigint)[][] = [];
      const controls: number[] = [];
      const cases: SiliconCase[] = [];
      for (let n = 0; n < PER_OPERATION; n++) {
        const values = Array.from({ length: operation.count }, () => operand(operation.operands, random));
        if (random() % 8 === 0 && values.length === 2) values[1] = values[0] as number;
        const flags = random() % 2 === 0 ? 0 : random() % 2 === 0 ? 0x20 : random() & 0x3f;
        const masks = random() % 2 === 0 ? 0x1f80 : (random() & 0x3f) << 7;
        const mxcsr = flags | masks | ((random() & 3) << 13) | (random() % 4 === 0 ? 0x8000 : 0) | (random() % 4 === 0 ? 0x40 : 0);
        const image = new Uint8Array(512);
        const view = new DataView(image.buffer);
        view.setUint16(0, 0x37f, true);
        view.setUint32(24, mxcsr, true);
        values.forEach((value, i) => {
          if (typeof value === 'number') view.setInt32(160 + 16 * i, value, true);
          else view.setBigInt64(160 + 16 * i, value, true);
        });
        operands.push(values);
        controls.push(mxcsr);
        const rax = BigInt.asUintN(operation.operands === 'i32' ? 32 : 64, BigInt(values[0] as number));
        cases.push({
          code: Uint8Array.from(Buffer.from(operation.code, 'hex')),
          fxsave: image,
          regs: [rax, ...new Array(15).fill(0n)],
          instructions: 'free',
        });
      }
      const results = await runOnSilicon(cases);
      let checked = 0;
      for (const [n, result] of results.entries()) {
        const mxcsr = controls[n] as number;
        const view = new DataView((result.fxsave as Uint8Array).buffer, (result.fxsave as Uint8Array).byteOffset);
        wasm.flags = 0;
        const values = operands[n] as (number | bigint)[];
        const extra = operation.immediate === undefined ? [] : [operation.immediate];
        const ours = (wasm.call[operation.subroutine.name] as (...args: unknown[]) => number | bigint)(...values, ...extra, mxcsr, CPU);
        const flags = (wasm.call[softfloat.simdFlags.name] as (...args: unknown[]) => number)(mxcsr, CPU);
        const raised = flags & ~(mxcsr >> 7) & 0x3f;
        const what = `${operation.subroutine.name} ${operation.immediate ?? ''}(${values.map((v) => BigInt.asUintN(64, BigInt(v)).toString(16))}) mxcsr ${mxcsr.toString(16)}`;
        expect(`${what}: ${(flags | (mxcsr & 0x3f)).toString(16)} ${raised !== 0}`).toBe(
          `${what}: ${(view.getUint32(24, true) & 0x3f).toString(16)} ${result.status === 'exception' && result.vector === 19}`,
        );
        if (raised) continue;
        checked++;
        const silicon =
          operation.result === 'relation'
            ? result.rflags & 0x45
            : operation.result === 'i32'
              ? Number(BigInt.asIntN(32, result.regs[0] as bigint))
              : operation.result === 'i64'
                ? BigInt.asIntN(64, result.regs[0] as bigint)
                : operation.result === 'f32'
                  ? view.getInt32(160, true)
                  : view.getBigInt64(160, true);
        const hex = (x: number | bigint): string => BigInt.asUintN(64, BigInt(x)).toString(16);
        expect(`${what} = ${hex(ours)}`).toBe(`${what} = ${hex(silicon)}`);
      }
      expect(checked).toBeGreaterThan(PER_OPERATION / 4);
    },
  );
});
