import { binary32, binary64, extended, integer, near } from '../../../softfloat/testing/corners.ts';
import { State } from '../../../state/layout.ts';
import { CPU, OPERAND, type RowRunner } from './row-runner.ts';

export const MEMORY_BYTES = 16;
const ARITHMETIC_FLAGS = 0x8d5;

/** A state before: FXSAVE image, memory operand, EFLAGS. */
export interface Before {
  readonly image: Uint8Array;
  readonly memory: Uint8Array;
  readonly eflags: number;
}

/** A state that is likely to find mistakes: every control word, near numbers, gaps in the stack. */
export function before(random: () => number): Before {
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
export function setState(runner: RowRunner, { image, memory, eflags }: Before): void {
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
export function describeState(image: DataView, memory: Uint8Array, eflags: number, ax: number): string {
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
  return `fcw ${image.getUint16(0, true).toString(16)} fsw ${fsw.toString(16)} tags ${tags} ax ${ax.toString(16)} eflags ${(eflags & ARITHMETIC_FLAGS).toString(16)} memory ${[...memory].map((byte) => byte.toString(16).padStart(2, '0')).join('')}\n${registers.join('\n')}`;
}

/** The CPU's state as text. */
export function ourState(runner: RowRunner): string {
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
