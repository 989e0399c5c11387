import { addHigh, linearOf } from '../../cpu/address.ts';
import type { Cpu } from '../../cpu/cpu.ts';
import type { Insn } from '../../decode/insn.ts';
import { State } from '../../state/layout.ts';

/**
 * Operands of system rows: general registers and memory by the decoded instruction. 64-bit values are BigInt here: these rows are cold; the warm ones do without.
 */

/** Offset of the memory operand in its segment, wrapped to the address size; halves in `cpu.linearLow/High` are not touched. */
export function offsetOf(cpu: Cpu, insn: Insn): { low: number; high: number } {
  const { registers } = cpu;
  if (insn.addressBytes !== 8) {
    let offset = insn.displacement;
    if (insn.base >= 0) offset = (offset + registers.gprLow(insn.base)) | 0;
    if (insn.index >= 0) offset = (offset + (registers.gprLow(insn.index) << insn.scale)) | 0;
    if (insn.ripRelative) offset = (offset + registers.get32(State.rip) + insn.length) | 0;
    return { low: insn.addressBytes === 2 ? offset & 0xffff : offset, high: 0 };
  }
  let low = insn.displacement;
  let high = insn.displacementHigh;
  const add = (addLow: number, addHighHalf: number): void => {
    high = addHigh(low, high, addLow, addHighHalf);
    low = (low + addLow) | 0;
  };
  if (insn.base >= 0) add(registers.gprLow(insn.base), registers.gprHigh(insn.base));
  if (insn.index >= 0) {
    const indexLow = registers.gprLow(insn.index);
    const { scale } = insn;
    add(
      indexLow << scale,
      scale === 0 ? registers.gprHigh(insn.index) : (registers.gprHigh(insn.index) << scale) | (indexLow >>> (32 - scale)),
    );
  }
  if (insn.ripRelative) add(cpu.nextRipLow, cpu.nextRipHigh);
  return { low, high };
}

/** Linear address of the memory operand plus `displacement`, checked for an access of `bytes`: in `cpu.linearLow/High`. */
export function locate(cpu: Cpu, insn: Insn, bytes: number, write: boolean, displacement = 0): void {
  const { low, high } = offsetOf(cpu, insn);
  if (displacement === 0) {
    linearOf(cpu, insn.segment, low, high, bytes, write);
    return;
  }
  const moved = (low + displacement) | 0;
  const wrapped = insn.addressBytes === 2 ? moved & 0xffff : moved;
  linearOf(cpu, insn.segment, wrapped, insn.addressBytes === 8 ? addHigh(low, high, displacement, 0) : 0, bytes, write);
}

/** Reads the r/m operand: 1, 2, 4 or 8 bytes, unsigned (8 only as `readRm64`). */
export function readRm(cpu: Cpu, insn: Insn, bytes: 2 | 4): number {
  if (insn.isRegisterForm) {
    const low = cpu.registers.gprLow(insn.rm);
    return bytes === 2 ? low & 0xffff : low >>> 0;
  }
  return readMemory(cpu, insn, bytes, 0);
}

/** Reads the memory operand (plus a displacement), unsigned. */
export function readMemory(cpu: Cpu, insn: Insn, bytes: 2 | 4, displacement: number): number {
  locate(cpu, insn, bytes, false, displacement);
  const { linear, linearLow, linearHigh } = cpu;
  return bytes === 2 ? linear.read16(linearLow, linearHigh) : linear.read32(linearLow, linearHigh) >>> 0;
}

export function readMemory64(cpu: Cpu, insn: Insn, displacement = 0): bigint {
  locate(cpu, insn, 8, false, displacement);
  return cpu.linear.read64(cpu.linearLow, cpu.linearHigh);
}

/** Writes a 16-bit result: a register is written at the operand size, zero-extended; memory always 16 bits (SLDT, STR, SMSW, MOV r/m, Sreg). */
export function writeRmSelector(cpu: Cpu, insn: Insn, value: number): void {
  if (insn.isRegisterForm) writeGpr(cpu, insn.rm, insn.operandBytes, value, 0);
  else {
    locate(cpu, insn, 2, true);
    cpu.linear.write16(cpu.linearLow, cpu.linearHigh, value & 0xffff);
  }
}

/** Writes a general register: 32-bit writes clear the upper half, 16- and 8-bit ones keep the rest. */
export function writeGpr(cpu: Cpu, index: number, bytes: 1 | 2 | 4 | 8, low: number, high: number): void {
  const { registers } = cpu;
  if (bytes === 8) registers.setGprHalves(index, low, high);
  else if (bytes === 4) registers.setGprHalves(index, low, 0);
  else {
    const mask = bytes === 2 ? 0xffff : 0xff;
    registers.setGprHalves(index, (registers.gprLow(index) & ~mask) | (low & mask), registers.gprHigh(index));
  }
}

/** Reads a string or counter register at the address size, as halves in an object: unsigned low, high. */
export function readAddressRegister(cpu: Cpu, index: number, bytes: 2 | 4 | 8): { low: number; high: number } {
  const low = cpu.registers.gprLow(index);
  if (bytes === 8) return { low, high: cpu.registers.gprHigh(index) };
  return { low: bytes === 2 ? low & 0xffff : low, high: 0 };
}

/** Adds a small signed number to a register at the address size. */
export function addToRegister(cpu: Cpu, index: number, bytes: 2 | 4 | 8, amount: number): void {
  const { registers } = cpu;
  const low = registers.gprLow(index);
  const high = bytes === 8 ? addHigh(low, registers.gprHigh(index), amount, amount < 0 ? -1 : 0) : 0;
  writeGpr(cpu, index, bytes, (low + amount) | 0, high);
}
