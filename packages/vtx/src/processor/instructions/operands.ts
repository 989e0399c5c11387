import { type Cpu, type Insn, locate, raise, readMemory64, Vector } from '@minusone/x86';

/** Operands of VMX instructions. */

/** VMX instructions but VMCALL and VMFUNC are #UD in real-address, virtual-8086 and compatibility mode, and outside VMX operation (their pseudo-code's first line). */
export function requireMode(cpu: Cpu, isOn: boolean): void {
  if (!isOn || !cpu.isProtected || (cpu.isLongMode && !cpu.is64Bit)) raise(Vector.UD);
}

/** An m64 operand that holds a physical address. Addresses beyond 2^53 come out inexact, but beyond any address width. */
export function readPointer(cpu: Cpu, insn: Insn): number {
  return Number(readMemory64(cpu, insn));
}

/** Writes an m64 operand. */
export function writePointer(cpu: Cpu, insn: Insn, value: bigint): void {
  locate(cpu, insn, 8, true);
  cpu.linear.write64(cpu.linearLow, cpu.linearHigh, value);
}

/** A register operand of 64 bits in 64-bit mode, otherwise of 32. */
export function registerValue(cpu: Cpu, index: number): bigint {
  const value = cpu.registers.gpr(index);
  return cpu.is64Bit ? value : value & 0xffff_ffffn;
}
export function setRegister(cpu: Cpu, index: number, value: bigint): void {
  cpu.registers.setGpr(index, value);
}

/** An r/m operand of 64 or 32 bits. */
export function readOperand(cpu: Cpu, insn: Insn): bigint {
  if (insn.isRegisterForm) return registerValue(cpu, insn.rm);
  if (cpu.is64Bit) return readMemory64(cpu, insn);
  locate(cpu, insn, 4, false);
  return BigInt(cpu.linear.read32(cpu.linearLow, cpu.linearHigh) >>> 0);
}
export function writeOperand(cpu: Cpu, insn: Insn, value: bigint): void {
  if (insn.isRegisterForm) setRegister(cpu, insn.rm, value);
  else if (cpu.is64Bit) writePointer(cpu, insn, value);
  else {
    locate(cpu, insn, 4, true);
    cpu.linear.write32(cpu.linearLow, cpu.linearHigh, Number(value & 0xffff_ffffn));
  }
}
