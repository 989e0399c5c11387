import { describe, expect, test } from 'vitest';
import { runOnSilicon, type SiliconCase, siliconAvailable, WINDOWS } from '../../../../../tests/silicon/harness.ts';
import { binary32, binary64, extended, integer, near, randomSource } from '../../softfloat/testing/corners.ts';
import { State } from '../../state/layout.ts';
import { x87Rows } from './index.ts';
import { CPU, compileRows, OPERAND, type RowCase } from './testing/row-runner.ts';

const unavailable = siliconAvailable();
const PER_FORM = Number(process.env.X87_CASES ?? 400);
/** The transcendental instructions have a bound of error instead of exact bits: see transcendental.test.ts. */
const BOUNDED = new Set('F2XM1 FYL2X FYL2XP1 FSIN FCOS FSINCOS FPTAN FPATAN'.split(' '));
const MEMORY_BYTES = 16;
const ARITHMETIC_FLAGS = 0x8d5;

const runner = compileRows(x87Rows);
const byName = new Map<string, RowCase[]>();
for (const row of runner.cases) {
  const mnemonic = row.name.split(' ')[0] as string;
  if (BOUNDED.has(mnemonic)) continue;
  const list = byName.get(mnemonic) ?? [];
  list.push(row);
  byName.set(mnemonic, list);
}

/** A state before: FXSAVE image, memory operand, EFLAGS. */
interface Before {
  readonly image: Uint8Array;
  readonly memory: Uint8Array;
  readonly eflags: number;
}

function before(random: () => number): Before {
  const image = new Uint8Array(512);
  const view = new DataView(image.buffer);
  const masks = random() % 2 === 0 ? 0x3f : random() & 0x3f;
  const precision = random() % 3 === 0 ? random() & 3 : 3;
  view.setUint16(0, 0x40 | masks | (precision << 8) | ((random() & 3) << 10), true);
  const old = random() % 2 === 0 ? 0 : random() & 0x3f & masks;
  view.setUint16(2, (random() & 0x7800) | (random() & 0x700) | (random() % 4 === 0 ? 0x40 : 0) | old, true);
  image[4] = random() % 4 === 0 ? random() & 0xff : random() % 8 === 0 ? 0 : 0xff;
  if (random() % 3 === 0) image[4] = (image[4] as number) & ~(1 << (((view.getUint16(2, true) >> 11) + 7) & 7));
  view.setUint32(24, 0x1f80, true);
  let last = extended(random);
  for (let i = 0; i < 8; i++) {
    let value = extended(random);
    if (random() % 3 === 0) value = { significand: value.significand | (1n << 63n), signExponent: near(random, last.signExponent) };
    if (random() % 16 === 0) value = last;
    if (random() % 16 === 0)
      value = { significand: BigInt.asUintN(64, integer(random, 64)) | (1n << 63n), signExponent: near(random, 16383 + (random() % 66)) };
    view.setBigUint64(32 + 16 * i, value.significand, true);
    view.setUint16(40 + 16 * i, value.signExponent, true);
    last = value;
  }
  const memory = new Uint8Array(MEMORY_BYTES);
  const bytes = new DataView(memory.buffer);
  switch (random() % 6) {
    case 0:
      bytes.setInt32(0, binary32(random), true);
      break;
    case 1:
      bytes.setBigInt64(0, binary64(random), true);
      break;
    case 2: {
      const value = extended(random);
      bytes.setBigUint64(0, value.significand, true);
      bytes.setUint16(8, value.signExponent, true);
      break;
    }
    case 3:
      bytes.setBigInt64(0, integer(random, 64), true);
      break;
    case 4:
      bytes.setInt32(0, Number(integer(random, random() & 1 ? 32 : 16)), true);
      break;
    default:
      for (let i = 0; i < 9; i++) memory[i] = (random() % 10) | ((random() % 10) << 4);
      memory[9] = random();
  }
  return { image, memory, eflags: random() & ARITHMETIC_FLAGS };
}

/** Puts a state before into the CPU's state. */
function setState({ image, memory, eflags }: Before): void {
  const { view } = runner;
  const from = new DataView(image.buffer);
  const fsw = from.getUint16(2, true);
  view.setInt32(CPU + State.fcw, from.getUint16(0, true), true);
  view.setInt32(CPU + State.fsw, fsw, true);
  view.setInt32(CPU + State.ftw, image[4] as number, true);
  view.setBigInt64(CPU + State.gpr, 0n, true);
  for (let i = 0; i < 8; i++) {
    const physical = ((fsw >> 11) + i) & 7;
    view.setBigUint64(CPU + State.fpr + 16 * physical, from.getBigUint64(32 + 16 * i, true), true);
    view.setUint16(CPU + State.fpr + 16 * physical + 8, from.getUint16(40 + 16 * i, true), true);
  }
  new Uint8Array(view.buffer, OPERAND, MEMORY_BYTES).set(memory);
  runner.eflags = eflags;
}

/** All that an x87 instruction can change, as text. */
function describeState(image: DataView, memory: Uint8Array, eflags: number, ax: number): string {
  const fsw = image.getUint16(2, true);
  const registers = Array.from(
    { length: 8 },
    (_, i) =>
      // What an empty register holds can be seen, too.
      `${image
        .getUint16(40 + 16 * i, true)
        .toString(16)
        .padStart(4, '0')}.${image
        .getBigUint64(32 + 16 * i, true)
        .toString(16)
        .padStart(16, '0')}`,
  );
  const tags = image.getUint8(4).toString(2).padStart(8, '0');
  return `fcw ${image.getUint16(0, true).toString(16)} fsw ${fsw.toString(16)} tags ${tags} ax ${ax.toString(16)} eflags ${(eflags & ARITHMETIC_FLAGS).toString(16)} memory ${Buffer.from(memory).toString('hex')}\n${registers.join('\n')}`;
}

function ourState(): string {
  const { view } = runner;
  const image = new DataView(new ArrayBuffer(512));
  const fsw = view.getInt32(CPU + State.fsw, true);
  image.setUint16(0, view.getInt32(CPU + State.fcw, true), true);
  image.setUint16(2, fsw, true);
  image.setUint8(4, view.getInt32(CPU + State.ftw, true));
  for (let i = 0; i < 8; i++) {
    const physical = ((fsw >> 11) + i) & 7;
    image.setBigUint64(32 + 16 * i, view.getBigUint64(CPU + State.fpr + 16 * physical, true), true);
    image.setUint16(40 + 16 * i, view.getUint16(CPU + State.fpr + 16 * physical + 8, true), true);
  }
  const memory = new Uint8Array(view.buffer.slice(OPERAND, OPERAND + MEMORY_BYTES));
  return describeState(image, memory, runner.eflags, Number(view.getBigInt64(CPU + State.gpr, true)));
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
      setState(state);
      row.run();
      const start = new DataView(state.image.buffer);
      const from = `${row.name} from ${describeState(start, state.memory, state.eflags, 0)}\nto `;
      if (ourState() !== silicon) expect(from + ourState()).toBe(from + silicon);
    }
  });
});
