import { describe, expect, test } from 'vitest';
import { runOnSilicon, type SiliconCase, siliconAvailable } from '../../../../../../tests/silicon/harness.ts';
import { TestMachine } from '../../../cpu/test-machine.ts';
import { randomSource } from '../../../softfloat/testing/corners.ts';
import { State } from '../../../state/layout.ts';
import { compileRows, type RowCase } from '../testing/row-runner.ts';
import { type Before, before, describeState, ourState, setState } from '../testing/x87-state.ts';
import { transcendentalRows } from './rows.ts';

const unavailable = siliconAvailable();
const PER_ROW = Number(process.env.X87_CASES ?? 1000);
const runner = compileRows(transcendentalRows);

/** Puts ST(0) and ST(1) where the function has something to do. */
function plausible(name: string, random: () => number, state: Before): Before {
  const view = new DataView(state.image.buffer);
  if (random() % 4 === 0) return state;
  const exponents: Record<string, [number, number]> = { F2XM1: [-70, 0], FYL2XP1: [-70, -2], FYL2X: [-70, 70], FPATAN: [-70, 70] };
  const [from, to] = exponents[name.split(' ')[0] as string] ?? [-40, 62];
  for (const i of [0, 1]) {
    const significand = (1n << 63n) | view.getBigUint64(32 + 16 * i, true);
    view.setBigUint64(32 + 16 * i, significand, true);
    const exponent = random() % 2 === 0 ? from + (random() % (to - from + 1)) : to - (random() % Math.min(6, to - from));
    view.setUint16(40 + 16 * i, (random() & (name.startsWith('FYL2X ') ? 0 : 0x8000)) | (16383 + exponent), true);
  }
  return state;
}

/** A number as a position on the line of all numbers of its format, so that neighbours differ by one. */
function position(text: string): bigint {
  const [signExponent, significand] = text.split('.').map((part) => BigInt(`0x${part}`)) as [bigint, bigint];
  const magnitude = (signExponent & 0x7fffn) * (1n << 63n) + (significand & ((1n << 63n) - 1n));
  return signExponent >> 15n ? -magnitude : magnitude;
}

describe.skipIf(unavailable)('x87 transcendental instructions, against the processor of this machine', () => {
  test.each(runner.cases.map((row) => [row.name, row] as [string, RowCase]))(
    '%s: within an ulp, same special cases, tags and exceptions (SDM Vol. 1, 8.3.7 to 8.3.10)',
    async (name, row) => {
      const random = randomSource(row.code[1] as number);
      const states = Array.from({ length: PER_ROW }, () => plausible(name, random, before(random)));
      const cases: SiliconCase[] = states.map((state) => ({
        code: Uint8Array.from(row.code),
        fxsave: state.image,
        instructions: 'free',
        rflags: 2,
      }));
      const results = await runOnSilicon(cases);
      let far = 0;
      for (const [n, result] of results.entries()) {
        const state = { ...(states[n] as Before), eflags: 0 };
        const image = result.fxsave as Uint8Array;
        const silicon = describeState(new DataView(image.buffer, image.byteOffset), state.memory, result.rflags & 0, 0).split('\n');
        setState(runner, state);
        row.run();
        const ours = ourState(runner).split('\n');
        const context = `${name} from ${describeState(new DataView(state.image.buffer), state.memory, 0, 0)}\nto ${ours.join('\n')}\nwant\n${silicon.join('\n')}`;
        // C1, rounded up, goes with the last bit.
        const words = (line: string): string =>
          line.replace(/fsw (\w+)/, (_, hex) => `fsw ${(Number.parseInt(hex, 16) & ~0x200).toString(16)}`);
        if (words(ours[0] as string) !== words(silicon[0] as string)) expect(context).toBe('');
        for (let i = 1; i <= 8; i++) {
          const distance = position(ours[i] as string) - position(silicon[i] as string);
          if (distance !== 0n) far++;
          if (distance > 1n || distance < -1n) expect(context).toBe('');
        }
      }
      // Both are within an ulp of the true value; mostly they are the same number.
      expect(far).toBeLessThan(results.length / 10);
    },
  );
});

test('FYL2X: a tiny product has underflowed even where it is a denormal, as the result is inexact by nature (SDM Vol. 1, 4.9.1.5, 8.5.6)', () => {
  const m = new TestMachine().protected().code([0xdb, 0xe3, 0xdb, 0x2d, 0, 0x70, 0, 0, 0xdb, 0x2d, 0x10, 0x70, 0, 0, 0xd9, 0xf1, 0xf4]); // fninit; fld [7000h]; fld [7010h]; fyl2x
  m.bytes(0x7000, [1, 0, 0, 0, 0, 0, 0, 0, 0, 0]); // the least denormal
  m.bytes(0x7010, [0, 0, 0, 0, 0, 0, 0, 0x80, 0x6a, 0x3f]); // 2^-149
  expect(m.run()).toBe('halted');
  const { registers } = m.cpu;
  expect([registers.get64(State.fpr + 7 * 16), registers.get32(State.fpr + 7 * 16 + 8)]).toEqual([149n, 0x8000]);
  // PE, UE, DE.
  expect(registers.get32(State.fsw) & 0x3f).toBe(0x32);
});
