import { isCanonical } from '../../cpu/address.ts';
import type { Cpu } from '../../cpu/cpu.ts';
import { raise, Vector } from '../../cpu/fault.ts';
import { SystemType } from '../../cpu/segments/descriptor.ts';
import { isNull, readDescriptor, selectorFault, setBusy } from '../../cpu/segments/descriptor-tables.ts';
import { selectorOf, setNullSegment, setSegment, setSegmentFromDescriptor } from '../../cpu/segments/segment-register.ts';
import type { Insn } from '../../decode/insn.ts';
import { Segment, State } from '../../state/layout.ts';
import { type InstructionRow, system } from '../../table/row.ts';
import { checkUmip } from './control-registers.ts';
import { locate, readMemory, readRm, writeRmSelector } from './operand-access.ts';

/** LGDT, LIDT, SGDT, SIDT, LLDT, LTR, SLDT, STR (SDM Vol. 2). */

function loadTable(mnemonic: string, table: 'gdtr' | 'idtr', base: number, limitField: number): (cpu: Cpu, insn: Insn) => void {
  return (cpu, insn) => {
    cpu.requireCpl0();
    if (cpu.layer !== undefined) cpu.intercept({ kind: 'descriptor-table', mnemonic, table, write: true });
    const limit = readMemory(cpu, insn, 2, 0);
    let low = readMemory(cpu, insn, 4, 2) | 0;
    const high = cpu.is64Bit ? readMemory(cpu, insn, 4, 6) | 0 : 0;
    if (cpu.is64Bit && !isCanonical(cpu, high)) raise(Vector.GP, 0);
    // 16-bit operand size: the base has 24 bits.
    if (insn.operandBytes === 2 && !cpu.is64Bit) low &= 0xffffff;
    cpu.registers.set32(limitField, limit);
    cpu.registers.set32(base, low);
    cpu.registers.set32(base + 4, high);
  };
}

function storeTable(mnemonic: string, table: 'gdtr' | 'idtr', base: number, limitField: number): (cpu: Cpu, insn: Insn) => void {
  return (cpu, insn) => {
    checkUmip(cpu);
    if (cpu.layer !== undefined) cpu.intercept({ kind: 'descriptor-table', mnemonic, table, write: false });
    const { registers, linear } = cpu;
    locate(cpu, insn, cpu.is64Bit ? 10 : 6, true);
    linear.probe(cpu.linearLow, cpu.linearHigh, cpu.is64Bit ? 10 : 6, true);
    linear.write16(cpu.linearLow, cpu.linearHigh, registers.get32(limitField) & 0xffff);
    locate(cpu, insn, 4, true, 2);
    linear.write32(cpu.linearLow, cpu.linearHigh, registers.get32(base));
    if (cpu.is64Bit) {
      locate(cpu, insn, 4, true, 6);
      linear.write32(cpu.linearLow, cpu.linearHigh, registers.get32(base + 4));
    }
  };
}

/** In real-address and virtual-8086 mode these instructions are not recognized. */
function requireProtected(cpu: Cpu): void {
  if (!cpu.isProtected) raise(Vector.UD);
}

function lldt(cpu: Cpu, insn: Insn): void {
  requireProtected(cpu);
  cpu.requireCpl0();
  if (cpu.layer !== undefined) cpu.intercept({ kind: 'descriptor-table', mnemonic: 'LLDT', table: 'ldtr', write: true });
  const selector = readRm(cpu, insn, 2);
  if (isNull(selector)) {
    setNullSegment(cpu.registers, Segment.LDTR, selector);
    return;
  }
  if ((selector & 4) !== 0) selectorFault(cpu, Vector.GP, selector);
  const descriptor = readDescriptor(cpu, selector, Vector.GP);
  if (!descriptor.isSystem || descriptor.type !== SystemType.LDT) selectorFault(cpu, Vector.GP, selector);
  if (!descriptor.isPresent) selectorFault(cpu, Vector.NP, selector);
  setSegmentFromDescriptor(cpu.registers, Segment.LDTR, selector, descriptor);
}

function ltr(cpu: Cpu, insn: Insn): void {
  requireProtected(cpu);
  cpu.requireCpl0();
  if (cpu.layer !== undefined) cpu.intercept({ kind: 'descriptor-table', mnemonic: 'LTR', table: 'tr', write: true });
  const selector = readRm(cpu, insn, 2);
  if (isNull(selector)) raise(Vector.GP, 0);
  if ((selector & 4) !== 0) selectorFault(cpu, Vector.GP, selector);
  const descriptor = readDescriptor(cpu, selector, Vector.GP);
  const available = descriptor.type === SystemType.TSS_AVAILABLE || (descriptor.type === SystemType.TSS16_AVAILABLE && !cpu.isLongMode);
  if (!descriptor.isSystem || !available) selectorFault(cpu, Vector.GP, selector);
  if (!descriptor.isPresent) selectorFault(cpu, Vector.NP, selector);
  setBusy(cpu, descriptor, true);
  setSegment(cpu.registers, Segment.TR, selector, descriptor.attributes | 2, descriptor.limit, descriptor.baseLow, descriptor.baseHigh);
}

function storeSelector(mnemonic: string, table: 'ldtr' | 'tr', segment: number): (cpu: Cpu, insn: Insn) => void {
  return (cpu, insn) => {
    requireProtected(cpu);
    checkUmip(cpu);
    if (cpu.layer !== undefined) cpu.intercept({ kind: 'descriptor-table', mnemonic, table, write: false });
    writeRmSelector(cpu, insn, selectorOf(cpu.registers, segment));
  };
}

export const descriptorTableRows: readonly InstructionRow[] = [
  system('SGDT', ['0F 01 /0 Ms'], storeTable('SGDT', 'gdtr', State.gdtrBase, State.gdtrLimit)),
  system('SIDT', ['0F 01 /1 Ms'], storeTable('SIDT', 'idtr', State.idtrBase, State.idtrLimit)),
  system('LGDT', ['0F 01 /2 Ms'], loadTable('LGDT', 'gdtr', State.gdtrBase, State.gdtrLimit)),
  system('LIDT', ['0F 01 /3 Ms'], loadTable('LIDT', 'idtr', State.idtrBase, State.idtrLimit)),
  system('SLDT', ['0F 00 /0 Rv/Mw'], storeSelector('SLDT', 'ldtr', Segment.LDTR)),
  system('STR', ['0F 00 /1 Rv/Mw'], storeSelector('STR', 'tr', Segment.TR)),
  system('LLDT', ['0F 00 /2 Ew'], lldt),
  system('LTR', ['0F 00 /3 Ew'], ltr),
];
