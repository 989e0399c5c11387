import { expect, test } from 'vitest';
import { readEflags, writeEflags } from '../../cpu/eflags.ts';
import { CODE, TestMachine } from '../../cpu/test-machine.ts';
import { randomSource } from '../../softfloat/testing/corners.ts';
import { State } from '../../state/layout.ts';
import { x87Rows } from './index.ts';
import { compileRows } from './testing/row-runner.ts';
import { type Before, before, describeState, MEMORY_BYTES, ourState, setState } from './testing/x87-state.ts';

/** Where the memory operand stands: EBX. */
const OPERAND = 0x7000;
const EBX = 3;
const ARITHMETIC_FLAGS = 0x8d5;
const PER_FORM = 4;

const runner = compileRows(x87Rows);

function load(m: TestMachine, { image, memory, eflags }: Before): void {
  const from = new DataView(image.buffer);
  const { registers } = m.cpu;
  const fsw = from.getUint16(2, true);
  registers.set32(State.fcw, from.getUint16(0, true));
  registers.set32(State.fsw, fsw);
  registers.set32(State.ftw, image[4] as number);
  for (let i = 0; i < 8; i++) {
    const to = State.fpr + 16 * (((fsw >> 11) + i) & 7);
    registers.set64(to, from.getBigUint64(32 + 16 * i, true));
    registers.set32(to + 8, from.getUint16(40 + 16 * i, true));
  }
  m.bytes(OPERAND, [...memory]);
  m.setGpr(0, 0).setGpr(EBX, OPERAND);
  writeEflags(registers, eflags, ARITHMETIC_FLAGS);
}

function stateOf(m: TestMachine): string {
  const { registers } = m.cpu;
  const image = new DataView(new ArrayBuffer(512));
  const fsw = registers.get32(State.fsw);
  image.setUint16(0, registers.get32(State.fcw), true);
  image.setUint16(2, fsw, true);
  image.setUint8(4, registers.get32(State.ftw));
  for (let i = 0; i < 8; i++) {
    const from = State.fpr + 16 * (((fsw >> 11) + i) & 7);
    image.setBigUint64(32 + 16 * i, registers.get64(from), true);
    image.setUint16(40 + 16 * i, registers.get32(from + 8), true);
  }
  const memory = Uint8Array.from({ length: MEMORY_BYTES }, (_, i) => m.physical.read8(OPERAND + i));
  return describeState(image, memory, readEflags(registers), m.gpr(0) & 0xffff);
}

test('every x87 form does on the interpreter what its semantics say', () => {
  const m = new TestMachine().protected();
  const random = randomSource(87);
  for (const { name, code, run } of runner.cases) {
    m.code([...code, 0xf4]);
    for (let n = 0; n < PER_FORM; n++) {
      const state = before(random);
      setState(runner, state);
      run();
      m.cpu.jumpTo(CODE, 0);
      m.cpu.activity = 0;
      load(m, state);
      expect(m.run(), name).toBe('halted');
      expect(m.handled, name).toBe(-1);
      expect(`${name}: ${stateOf(m)}`).toBe(`${name}: ${ourState(runner)}`);
    }
  }
});
