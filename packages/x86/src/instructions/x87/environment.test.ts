import { expect, test } from 'vitest';
import { CODE, TestMachine } from '../../cpu/test-machine.ts';
import { State } from '../../state/layout.ts';
import { abridgedTagWord } from './environment.ts';

/** Where the state images go. */
const IMAGE = 0x7000;
const HLT = 0xf4;
const MF = 16;
/** [IMAGE] with 32-bit and 16-bit addresses, for a ModRM.reg. */
const image32 = (reg: number): number[] => [0x05 | (reg << 3), 0x00, 0x70, 0, 0];
const image16 = (reg: number): number[] => [0x06 | (reg << 3), 0x00, 0x70];
const FNINIT = [0xdb, 0xe3];
const FLD1 = [0xd9, 0xe8];
const FLDZ = [0xd9, 0xee];
const FLDPI = [0xd9, 0xeb];
const FDIVRP = [0xde, 0xf1]; // st1 = st0 / st1, pop

function words(m: TestMachine, count: number, bytes: 2 | 4): number[] {
  return Array.from({ length: count }, (_, i) => (bytes === 2 ? m.physical.read16(IMAGE + 2 * i) : m.physical.read32(IMAGE + 4 * i) >>> 0));
}

test('FNSTENV stores the 32-bit protected-mode image and masks all exceptions (SDM Vol. 1, Figure 8-9; Vol. 2A, FSTENV)', () => {
  const m = new TestMachine().protected().code([...FNINIT, ...FLDZ, ...FLD1, 0xd9, ...image32(6), HLT]);
  expect(m.run()).toBe('halted');
  const [fcw, fsw, ftw, fip, csAndOpcode] = words(m, 7, 4);
  // TOP is 6: ST(0), R6, is valid, and ST(1), R7, is zero; the rest is empty.
  expect([fcw, fsw, ftw]).toEqual([0xffff037f, 0xffff3000, 0xffff4fff]);
  expect([fip, csAndOpcode]).toEqual([CODE + 4, (0x1e8 << 16) | 8]);
  expect(m.cpu.registers.get32(State.fcw)).toBe(0x37f);
});

test('FNSTENV in real-address mode stores 16-bit words with linear addresses (SDM Vol. 1, Figure 8-12)', () => {
  const m = new TestMachine().real().code([...FNINIT, ...FLD1, 0xd9, ...image16(6), HLT]);
  expect(m.run()).toBe('halted');
  expect(words(m, 7, 2)).toEqual([0x37f, 0x3800, 0x3fff, CODE + 2, 0x1e8, 0, 0]);
});

test('FNSAVE stores registers from ST(0) on and initializes; FRSTOR brings all of it back (SDM Vol. 2A, FSAVE, FRSTOR)', () => {
  const m = new TestMachine().protected().code([...FNINIT, ...FLD1, ...FLDPI, 0xdd, ...image32(6), HLT]);
  expect(m.run()).toBe('halted');
  const { registers } = m.cpu;
  expect([registers.get32(State.fcw), registers.get32(State.fsw), registers.get32(State.ftw)]).toEqual([0x37f, 0, 0]);
  expect([m.physical.read64(IMAGE + 28), m.physical.read16(IMAGE + 36)]).toEqual([BigInt.asUintN(64, 0xc90fdaa22168c235n), 0x4000]);
  m.code([0xdd, ...image32(4), HLT]);
  m.cpu.activity = 0;
  expect(m.run()).toBe('halted');
  expect([registers.get32(State.fsw), registers.get32(State.ftw)]).toEqual([0x3000, 0xc0]);
  expect(registers.get64(State.fpr + 16 * 6)).toBe(0xc90fdaa22168c235n);
});

test('FLDENV with a flag that its control word unmasks makes an exception pending: #MF at the next waiting instruction, not at FNSTSW (SDM Vol. 1, 8.7)', () => {
  const m = new TestMachine().protected().code([0xd9, ...image32(4), 0xdf, 0xe0, 0x9b, HLT]);
  m.physical.write32(IMAGE, 0x37b); // ZE unmasked
  m.physical.write32(IMAGE + 4, 0x0004);
  m.physical.write32(IMAGE + 8, 0xffff);
  m.run();
  expect(m.handled).toBe(MF);
  expect(m.gpr(0) & 0xffff).toBe(0x8084);
});

test('an unmasked division by zero leaves its operands and raises #MF at the next instruction (SDM Vol. 1, 8.5.3)', () => {
  const m = new TestMachine().protected().code([...FNINIT, 0xd9, ...image32(5), ...FLDZ, ...FLD1, ...FDIVRP, ...FLD1, HLT]);
  m.physical.write32(IMAGE, 0x37b);
  m.run();
  expect(m.handled).toBe(MF);
  expect(m.cpu.registers.get32(State.fsw)).toBe(0xb084);
  expect(m.cpu.registers.get32(State.ftw)).toBe(0xc0);
});

test('a tag word of two bits a register becomes one of one bit (SDM Vol. 1, 10.5.1.1)', () => {
  expect(abridgedTagWord(0xffff)).toBe(0);
  expect(abridgedTagWord(0b11_10_01_00_11_11_00_11)).toBe(0b0111_0010);
});
