import type { Cpu } from '../../cpu/cpu.ts';
import { Eflags, writeEflags } from '../../cpu/eflags.ts';
import { raise, Vector } from '../../cpu/fault.ts';
import { type Descriptor, SystemType } from '../../cpu/segments/descriptor.ts';
import { isNull, tryReadDescriptor } from '../../cpu/segments/descriptor-tables.ts';
import type { Insn } from '../../decode/insn.ts';
import { type InstructionRow, system } from '../../table/row.ts';
import { locate, readRm, writeGpr } from './operand-access.ts';

/** LAR, LSL, VERR, VERW, ARPL (SDM Vol. 2; Vol. 3A, 5.10 "Pointer Validation"). They answer in ZF instead of faulting. */

function setZf(cpu: Cpu, value: boolean): void {
  writeEflags(cpu.registers, value ? Eflags.ZF : 0, Eflags.ZF);
}

/** The descriptor, if this program may know of it: in the table, and visible at CPL and RPL unless it is conforming code. */
function visible(cpu: Cpu, selector: number): Descriptor | undefined {
  if (!cpu.isProtected) raise(Vector.UD);
  if (isNull(selector)) return undefined;
  const descriptor = tryReadDescriptor(cpu, selector);
  if (descriptor === undefined) return undefined;
  if (!descriptor.isConforming && (cpu.cpl > descriptor.dpl || (selector & 3) > descriptor.dpl)) return undefined;
  return descriptor;
}

/** SDM Vol. 2A, Table 3-53: system types that LAR accepts, in and outside IA-32e mode; LSL's have a limit. */
const LAR_TYPES: readonly number[] = [1, 2, 3, 4, 5, 9, 11, 12];
const LAR_TYPES_LONG: readonly number[] = [2, 9, 11, 12];
const LSL_TYPES: readonly number[] = [1, 2, 3, 9, 11];
const LSL_TYPES_LONG: readonly number[] = [SystemType.LDT, SystemType.TSS_AVAILABLE, SystemType.TSS_BUSY];

function lar(cpu: Cpu, insn: Insn): void {
  const descriptor = visible(cpu, readRm(cpu, insn, 2));
  const valid =
    descriptor !== undefined && (!descriptor.isSystem || (cpu.isLongMode ? LAR_TYPES_LONG : LAR_TYPES).includes(descriptor.type));
  if (valid) writeGpr(cpu, insn.reg, insn.operandBytes, descriptor.high & (insn.operandBytes === 2 ? 0xff00 : 0x00f0ff00), 0);
  setZf(cpu, valid);
}

function lsl(cpu: Cpu, insn: Insn): void {
  const descriptor = visible(cpu, readRm(cpu, insn, 2));
  const valid =
    descriptor !== undefined && (!descriptor.isSystem || (cpu.isLongMode ? LSL_TYPES_LONG : LSL_TYPES).includes(descriptor.type));
  if (valid) writeGpr(cpu, insn.reg, insn.operandBytes, descriptor.limit | 0, 0);
  setZf(cpu, valid);
}

function verify(write: boolean): (cpu: Cpu, insn: Insn) => void {
  return (cpu, insn) => {
    const descriptor = visible(cpu, readRm(cpu, insn, 2));
    setZf(cpu, descriptor !== undefined && !descriptor.isSystem && (write ? descriptor.isWritableData : descriptor.isReadable));
  };
}

/** ARPL: raises the destination's RPL to the source's. */
function arpl(cpu: Cpu, insn: Insn): void {
  if (!cpu.isProtected) raise(Vector.UD);
  const source = cpu.registers.gprLow(insn.reg) & 3;
  if (!insn.isRegisterForm) {
    locate(cpu, insn, 2, true);
    cpu.linear.probe(cpu.linearLow, cpu.linearHigh, 2, true);
  }
  const old = readRm(cpu, insn, 2);
  const raises = (old & 3) < source;
  if (raises) {
    const next = (old & ~3) | source;
    if (insn.isRegisterForm) writeGpr(cpu, insn.rm, 2, next, 0);
    else {
      locate(cpu, insn, 2, true);
      cpu.linear.write16(cpu.linearLow, cpu.linearHigh, next);
    }
  }
  setZf(cpu, raises);
}

export const protectionQueryRows: readonly InstructionRow[] = [
  system('LAR', ['0F 02 /r Gv,Ew'], lar),
  system('LSL', ['0F 03 /r Gv,Ew'], lsl),
  system('VERR', ['0F 00 /4 Ew'], verify(false)),
  system('VERW', ['0F 00 /5 Ew'], verify(true)),
  system('ARPL', ['63 /r Ew,Gw i64'], arpl),
];
