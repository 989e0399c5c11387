import { describe, expect, test } from 'vitest';
import { runOnSilicon, type SiliconCase, siliconAvailable, WINDOWS } from '../../../../../tests/silicon/harness.ts';
import { randomSource } from '../../softfloat/testing/corners.ts';
import { x87Rows } from './index.ts';
import { compileRows, type RowCase } from './testing/row-runner.ts';
import { type Before, before, describeState, ourState, setState } from './testing/x87-state.ts';

const unavailable = siliconAvailable();
const PER_FORM = Number(process.env.X87_CASES ?? 100);
/** The transcendental instructions have a bound of error instead of exact bits: see transcendental.test.ts. */
const BOUNDED = new Set('F2XM1 FYL2X FYL2XP1 FSIN FCOS FSINCOS FPTAN FPATAN'.split(' '));

const runner = compileRows(x87Rows);
const byName = new Map<string, RowCase[]>();
for (const row of runner.cases) {
  const mnemonic = row.name.split(' ')[0] as string;
  if (BOUNDED.has(mnemonic)) continue;
  const list = byName.get(mnemonic) ?? [];
  list.push(row);
  byName.set(mnemonic, list);
}

describe.skipIf(unavailable)('x87 instructions against the processor of this machine', () => {
  test.each([...byName])('%s: registers, tags, status word, flags and memory (SDM Vol. 1, chapter 8)', async (mnemonic, forms) => {
    const random = randomSource(mnemonic.split('').reduce((sum, c) => sum * 31 + c.charCodeAt(0), 7));
    const states: Before[] = [];
    const rows: RowCase[] = [];
    const cases: SiliconCase[] = [];
    for (const form of forms) {
      for (let n = 0; n < PER_FORM; n++) {
        const state = before(random);
        states.push(state);
        rows.push(form);
        const regs = new Array<bigint>(16).fill(0n);
        regs[3] = BigInt(WINDOWS.data + 64);
        cases.push({
          code: Uint8Array.from(form.code),
          fxsave: state.image,
          regs,
          rflags: 2 | state.eflags,
          memory: [{ address: WINDOWS.data + 64, bytes: state.memory }],
          instructions: 'free',
        });
      }
    }
    const results = await runOnSilicon(cases);
    for (const [n, result] of results.entries()) {
      const state = states[n] as Before;
      const row = rows[n] as RowCase;
      expect(result.status, row.name).toBe('ok');
      const memory = state.memory.slice();
      for (const { address, bytes } of result.memory) memory.set(bytes, address - WINDOWS.data - 64);
      const image = result.fxsave as Uint8Array;
      const silicon = describeState(
        new DataView(image.buffer, image.byteOffset),
        memory,
        result.rflags,
        Number((result.regs[0] as bigint) & 0xffffn),
      );
      setState(runner, state);
      row.run();
      const start = new DataView(state.image.buffer);
      const from = `${row.name} from ${describeState(start, state.memory, state.eflags, 0)}\nto `;
      if (ourState(runner) !== silicon) expect(from + ourState(runner)).toBe(from + silicon);
    }
  });
});
