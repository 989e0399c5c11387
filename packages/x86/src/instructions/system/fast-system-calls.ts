import { isCanonical } from '../../cpu/address.ts';
import { Cr0, Cr4, Efer } from '../../cpu/control-bits.ts';
import type { Cpu } from '../../cpu/cpu.ts';
import { ALL_FLAGS, Eflags, readEflags, writeEflags } from '../../cpu/eflags.ts';
import { raise, Vector } from '../../cpu/fault.ts';
import { Msr } from '../../cpu/msr/msr-table.ts';
import { setBase, setSegment } from '../../cpu/segments/segment-register.ts';
import type { Insn } from '../../decode/insn.ts';
import { Gpr, Segment, State, segmentOffset } from '../../state/layout.ts';
import { type InstructionRow, system } from '../../table/row.ts';
import { writeGpr } from './operand-access.ts';

/** SYSCALL, SYSRET, SYSENTER, SYSEXIT, SWAPGS, RDFSBASE and its kin (SDM Vol. 2; Vol. 3A, 5.8.7, 5.8.8). Segments are loaded with fixed attributes: no table is read. */

const CODE64 = 0xa09b;
const CODE32 = 0xc09b;
const DATA = 0xc093;
const DPL3 = 3 << 5;
const WHOLE = 0xffffffff;

function setFlatSegments(cpu: Cpu, cs: number, csAttributes: number, ss: number, cpl: number): void {
  const { registers } = cpu;
  const dpl = cpl === 3 ? DPL3 : 0;
  setSegment(registers, Segment.CS, cs, csAttributes | dpl, WHOLE, 0);
  setSegment(registers, Segment.SS, ss, DATA | dpl, WHOLE, 0);
  registers.set32(State.cpl, cpl);
}

const low32 = (value: bigint): number => Number(BigInt.asIntN(32, value));
const high32 = (value: bigint): number => Number(BigInt.asIntN(32, value >> 32n));

function syscall(cpu: Cpu): void {
  const { registers, msrs } = cpu;
  if ((registers.get32(State.efer) & Efer.SCE) === 0) raise(Vector.UD);
  // Intel: only in 64-bit mode. AMD: in every protected mode (APM Vol. 3, SYSCALL).
  if (!cpu.is64Bit && (cpu.model.vendor === 'intel' || !cpu.isProtected)) raise(Vector.UD);
  const star = msrs.stored(Msr.STAR);
  const selector = Number((star >> 32n) & 0xfffcn);
  const flags = readEflags(registers);
  if (cpu.isLongMode) {
    const target = msrs.stored(cpu.is64Bit ? Msr.LSTAR : Msr.CSTAR);
    registers.setGprHalves(Gpr.RCX, cpu.nextRipLow, cpu.nextRipHigh);
    registers.setGprHalves(Gpr.R11, flags & ~Eflags.RF, 0);
    const mask = low32(msrs.stored(Msr.FMASK));
    writeEflags(registers, flags & ~mask & ~Eflags.RF, ALL_FLAGS);
    setFlatSegments(cpu, selector, CODE64, selector + 8, 0);
    cpu.jumpTo(low32(target), high32(target));
  } else {
    registers.setGprHalves(Gpr.RCX, cpu.nextRipLow, 0);
    writeEflags(registers, 0, Eflags.IF | Eflags.RF | Eflags.VM);
    setFlatSegments(cpu, selector, CODE32, selector + 8, 0);
    cpu.jumpTo(low32(star), 0);
  }
  if ((registers.get32(State.eflags) & Eflags.TF) === 0) cpu.skipSingleStep();
  cpu.updateMode();
}

function sysret(cpu: Cpu, insn: Insn): void {
  const { registers, msrs } = cpu;
  if ((registers.get32(State.efer) & Efer.SCE) === 0) raise(Vector.UD);
  const isIntel = cpu.model.vendor === 'intel';
  if (!cpu.is64Bit && (isIntel || !cpu.isProtected)) raise(Vector.UD);
  cpu.requireCpl0();
  const selector = Number((msrs.stored(Msr.STAR) >> 48n) & 0xffffn);
  const low = registers.gprLow(Gpr.RCX);
  const high = registers.gprHigh(Gpr.RCX);
  const to64 = insn.operandBytes === 8;
  // Intel raises #GP at CPL 0 for a RCX that is not canonical; AMD lets the fetch at CPL 3 find it.
  if (to64 && isIntel && !isCanonical(cpu, high)) raise(Vector.GP, 0);
  if (cpu.isLongMode) {
    const image = (registers.gprLow(Gpr.R11) & ~(Eflags.RF | Eflags.VM)) | 2;
    writeEflags(registers, image, ALL_FLAGS);
  } else {
    writeEflags(registers, Eflags.IF, Eflags.IF);
  }
  setFlatSegments(cpu, ((to64 ? selector + 16 : selector) & 0xffff) | 3, to64 ? CODE64 : CODE32, ((selector + 8) & 0xffff) | 3, 3);
  cpu.jumpTo(low, to64 ? high : 0);
  cpu.updateMode();
}

/** AMD has SYSENTER and SYSEXIT only outside long mode (APM Vol. 3). */
function checkSysenter(cpu: Cpu): void {
  if (cpu.model.vendor === 'amd' && cpu.isLongMode) raise(Vector.UD);
  if ((cpu.registers.get32(State.cr0) & Cr0.PE) === 0) raise(Vector.GP, 0);
}

function sysenter(cpu: Cpu): void {
  const { registers, msrs } = cpu;
  checkSysenter(cpu);
  const selector = Number(msrs.stored(Msr.SYSENTER_CS) & 0xfffcn);
  if (selector === 0) raise(Vector.GP, 0);
  const long = cpu.isLongMode;
  const sp = msrs.stored(Msr.SYSENTER_ESP);
  const ip = msrs.stored(Msr.SYSENTER_EIP);
  writeEflags(registers, 0, Eflags.VM | Eflags.IF | Eflags.RF);
  setFlatSegments(cpu, selector, long ? CODE64 : CODE32, selector + 8, 0);
  registers.setGprHalves(Gpr.RSP, low32(sp), long ? high32(sp) : 0);
  cpu.jumpTo(low32(ip), long ? high32(ip) : 0);
  cpu.updateMode();
}

function sysexit(cpu: Cpu, insn: Insn): void {
  const { registers, msrs } = cpu;
  checkSysenter(cpu);
  const base = Number(msrs.stored(Msr.SYSENTER_CS) & 0xfffcn);
  if (base === 0) raise(Vector.GP, 0);
  cpu.requireCpl0();
  const to64 = insn.operandBytes === 8;
  const ipHigh = to64 ? registers.gprHigh(Gpr.RDX) : 0;
  const spHigh = to64 ? registers.gprHigh(Gpr.RCX) : 0;
  if (!isCanonical(cpu, ipHigh) || !isCanonical(cpu, spHigh)) raise(Vector.GP, 0);
  const cs = (to64 ? base + 32 : base + 16) | 3;
  setFlatSegments(cpu, cs, to64 ? CODE64 : CODE32, (cs + 8) | 3, 3);
  registers.setGprHalves(Gpr.RSP, registers.gprLow(Gpr.RCX), spHigh);
  cpu.jumpTo(registers.gprLow(Gpr.RDX), ipHigh);
  cpu.updateMode();
}

function swapgs(cpu: Cpu): void {
  cpu.requireCpl0();
  const { registers, msrs } = cpu;
  const offset = segmentOffset(Segment.GS, 'base');
  const base = registers.get64(offset);
  registers.set64(offset, msrs.stored(Msr.KERNEL_GS_BASE));
  msrs.store(Msr.KERNEL_GS_BASE, base);
}

function checkFsGsBase(cpu: Cpu): void {
  if ((cpu.registers.get32(State.cr4) & Cr4.FSGSBASE) === 0) raise(Vector.UD);
}

function readBase(segment: number): (cpu: Cpu, insn: Insn) => void {
  return (cpu, insn) => {
    checkFsGsBase(cpu);
    const offset = segmentOffset(segment, 'base');
    writeGpr(cpu, insn.rm, insn.operandBytes === 8 ? 8 : 4, cpu.registers.get32(offset), cpu.registers.get32(offset + 4));
  };
}

function writeBase(segment: number): (cpu: Cpu, insn: Insn) => void {
  return (cpu, insn) => {
    checkFsGsBase(cpu);
    const high = insn.operandBytes === 8 ? cpu.registers.gprHigh(insn.rm) : 0;
    if (!isCanonical(cpu, high)) raise(Vector.GP, 0);
    setBase(cpu.registers, segment, cpu.registers.gprLow(insn.rm), high);
  };
}

const fsgsbase = { features: ['FSGSBASE'] };

export const fastSystemCallRows: readonly InstructionRow[] = [
  system('SYSCALL', ['0F 05'], syscall, { features: ['SYSCALL'] }),
  system('SYSRET', ['0F 07'], sysret, { features: ['SYSCALL'] }),
  system('SYSENTER', ['0F 34'], sysenter, { features: ['SEP'] }),
  system('SYSEXIT', ['0F 35'], sysexit, { features: ['SEP'] }),
  system('SWAPGS', ['0F 01 F8 o64'], swapgs, { features: ['LM'] }),
  system('RDFSBASE', ['F3 0F AE /0 Ry o64'], readBase(Segment.FS), fsgsbase),
  system('RDGSBASE', ['F3 0F AE /1 Ry o64'], readBase(Segment.GS), fsgsbase),
  system('WRFSBASE', ['F3 0F AE /2 Ry o64'], writeBase(Segment.FS), fsgsbase),
  system('WRGSBASE', ['F3 0F AE /3 Ry o64'], writeBase(Segment.GS), fsgsbase),
];
