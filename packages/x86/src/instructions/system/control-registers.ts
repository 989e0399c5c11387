import { Cr0, Cr4 } from '../../cpu/control-bits.ts';
import { readCr8, refusesControlRegister, writeCr0, writeCr3, writeCr4, writeCr8 } from '../../cpu/control-registers.ts';
import type { Cpu } from '../../cpu/cpu.ts';
import { raise, Vector } from '../../cpu/fault.ts';
import type { Insn } from '../../decode/insn.ts';
import { State } from '../../state/layout.ts';
import { type InstructionRow, system } from '../../table/row.ts';
import { readRm, writeRmSelector } from './operand-access.ts';

/** MOV CR and DR, LMSW, SMSW, CLTS (SDM Vol. 2). */

/** LOCK MOV CR0 is MOV CR8 on AMD processors (APM Vol. 3); the decoder refuses LOCK, so that CR8 needs REX.R. */
function controlRegister(cpu: Cpu, insn: Insn): number {
  const register = insn.reg;
  const exists = register === 0 || register === 2 || register === 3 || register === 4 || (register === 8 && cpu.is64Bit);
  if (!exists) raise(Vector.UD);
  cpu.requireCpl0();
  return register;
}

/** CR0 or CR4 as software reads it: a layer may show it another value (read shadows). */
function visible(cpu: Cpu, register: 0 | 4): number {
  const value = cpu.registers.get32(register === 0 ? State.cr0 : State.cr4);
  return cpu.layer?.readControlRegister === undefined ? value : cpu.layer.readControlRegister(register, value);
}
/** What a write that nobody intercepted puts into CR0 or CR4: a layer may own some bits (guest/host masks). */
function merged(cpu: Cpu, register: 0 | 4, value: number): number {
  return cpu.layer?.mergeControlRegister === undefined ? value : cpu.layer.mergeControlRegister(register, value);
}

function readControlRegister(cpu: Cpu, register: number): bigint {
  const { registers } = cpu;
  switch (register) {
    case 0:
      return BigInt(visible(cpu, 0) >>> 0);
    case 2:
      return registers.get64(State.cr2);
    case 3:
      return registers.get64(State.cr3);
    case 4:
      return BigInt(visible(cpu, 4) >>> 0);
    default:
      return BigInt(readCr8(cpu));
  }
}

function writeControlRegister(cpu: Cpu, register: number, value: bigint): void {
  const low = Number(BigInt.asIntN(32, value));
  const high = Number(value >> 32n);
  if (register === 0) writeCr0(cpu, merged(cpu, 0, low), high);
  else if (register === 2) cpu.registers.set64(State.cr2, value);
  else if (register === 3) writeCr3(cpu, value);
  else if (register === 4) writeCr4(cpu, merged(cpu, 4, low), high);
  else writeCr8(cpu, value);
}

function gprValue(cpu: Cpu, index: number): bigint {
  const value = cpu.registers.gpr(index);
  return cpu.is64Bit ? value : value & 0xffffffffn;
}

function setGprValue(cpu: Cpu, index: number, value: bigint): void {
  cpu.registers.setGpr(index, cpu.is64Bit ? value : value & 0xffffffffn);
}

/** UMIP: SGDT, SIDT, SLDT, SMSW and STR are #GP(0) outside CPL 0 (SDM Vol. 3A, 2.5, CR4.UMIP). */
export function checkUmip(cpu: Cpu): void {
  if (cpu.cpl > 0 && (cpu.registers.get32(State.cr4) & Cr4.UMIP) !== 0) raise(Vector.GP, 0);
}

/** The checks of MOV DR, with a layer's intercept before or after them. DR8 to DR15 do not exist, whatever the CPL. */
function debugRegister(cpu: Cpu, insn: Insn, write: boolean): number {
  const { layer } = cpu;
  if (insn.reg > 7) raise(Vector.UD);
  const event = { kind: 'debug-register', register: insn.reg, write, gpr: insn.rm } as const;
  if (layer?.debugRegistersFirst === true) cpu.intercept(event);
  cpu.requireCpl0();
  const register = cpu.debug.checkAccess(insn.reg);
  if (layer !== undefined && layer.debugRegistersFirst !== true) cpu.intercept(event);
  return register;
}

export const controlRegisterRows: readonly InstructionRow[] = [
  system('MOV', ['0F 20 /r Ry,Cy f64'], (cpu, insn) => {
    const register = controlRegister(cpu, insn);
    if (cpu.layer !== undefined && cpu.isIntercepted({ kind: 'control-register', register, write: false, gpr: insn.rm, by: 'mov' })) return;
    setGprValue(cpu, insn.rm, readControlRegister(cpu, register));
  }),
  system('MOV', ['0F 22 /r Cy,Ry f64'], (cpu, insn) => {
    const register = controlRegister(cpu, insn);
    const value = gprValue(cpu, insn.rm);
    // AMD: what is illegal about the value comes before the intercept (APM Vol. 2, 15.9 "Instruction Intercepts"); Intel's exits come first (SDM Vol. 3C, 26.1.3).
    if (cpu.layer !== undefined && cpu.model.vendor === 'amd' && refusesControlRegister(cpu, register, value)) raise(Vector.GP, 0);
    if (cpu.layer !== undefined && cpu.isIntercepted({ kind: 'control-register', register, write: true, gpr: insn.rm, value, by: 'mov' }))
      return;
    writeControlRegister(cpu, register, value);
  }),
  system('MOV', ['0F 21 /r Ry,Dy f64'], (cpu, insn) => {
    const register = debugRegister(cpu, insn, false);
    setGprValue(cpu, insn.rm, cpu.debug.read(register));
  }),
  system('MOV', ['0F 23 /r Dy,Ry f64'], (cpu, insn) => {
    const register = debugRegister(cpu, insn, true);
    cpu.debug.write(register, gprValue(cpu, insn.rm));
  }),
  // SMSW stores more than 16 bits only into a register.
  system('SMSW', ['0F 01 /4 Rv/Mw'], (cpu, insn) => {
    checkUmip(cpu);
    if (cpu.layer !== undefined)
      cpu.intercept({ kind: 'control-register', register: 0, write: false, gpr: insn.isRegisterForm ? insn.rm : -1, by: 'smsw' });
    writeRmSelector(cpu, insn, visible(cpu, 0));
  }),
  // LMSW: PE can be set, not cleared.
  system('LMSW', ['0F 01 /6 Ew'], (cpu, insn) => {
    cpu.requireCpl0();
    // AMD: the intercept, which does not ask for the value, comes before the access to memory (APM Vol. 2, 15.9 "Instruction Intercepts").
    if (cpu.layer !== undefined && cpu.model.vendor === 'amd')
      cpu.intercept({ kind: 'control-register', register: 0, write: true, gpr: -1, value: 0n, by: 'lmsw', source: 0 });
    const source = readRm(cpu, insn, 2);
    const next = (cpu.registers.get32(State.cr0) & ~0xe) | (source & 0xf);
    if (cpu.layer !== undefined && cpu.model.vendor !== 'amd')
      cpu.intercept({ kind: 'control-register', register: 0, write: true, gpr: -1, value: BigInt(next >>> 0), by: 'lmsw', source });
    writeCr0(cpu, merged(cpu, 0, next));
  }),
  system('CLTS', ['0F 06'], (cpu) => {
    cpu.requireCpl0();
    const next = cpu.registers.get32(State.cr0) & ~Cr0.TS;
    if (cpu.layer !== undefined)
      cpu.intercept({ kind: 'control-register', register: 0, write: true, gpr: -1, value: BigInt(next >>> 0), by: 'clts' });
    cpu.registers.set32(State.cr0, merged(cpu, 0, next));
    cpu.updateMode();
  }),
];
