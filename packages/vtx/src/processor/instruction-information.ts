import { addHigh, type Insn } from '@minusone/x86';
import type { VmxOperation } from './operation.ts';

/** VM-exit instruction information and displacements (SDM Vol. 3C, 28.2.5 "Information for VM Exits Due to Instruction Execution"). */

const MEMORY_OR_REGISTER = 0x400;
const INDEX_INVALID = 0x40_0000;
const BASE_INVALID = 0x800_0000;

/** Bits 9:7: address size 0 16-bit, 1 32-bit, 2 64-bit. */
function addressSize(insn: Insn): number {
  return (insn.addressBytes === 8 ? 2 : insn.addressBytes === 4 ? 1 : 0) << 7;
}

/** What the tables have in common of a memory operand: scaling, address size, segment, index and base. */
function memoryOperand(insn: Insn): number {
  return (
    (insn.index >= 0 ? insn.scale : 0) |
    addressSize(insn) |
    (insn.segment << 15) |
    (insn.index >= 0 ? insn.index << 18 : INDEX_INVALID) |
    (insn.base >= 0 ? insn.base << 23 : BASE_INVALID)
  );
}

/** Table 28-9 ff.: VMCLEAR, VMPTRLD, VMPTRST, VMXON; with Reg2, INVEPT, INVVPID, INVPCID. */
export function memoryInformation(insn: Insn, reg2 = 0): number {
  return memoryOperand(insn) | (reg2 << 28);
}

/** VMREAD and VMWRITE: Reg1 where the operand is no memory, Reg2 the field's encoding. */
export function fieldAccessInformation(insn: Insn): number {
  if (insn.isRegisterForm) return (insn.rm << 3) | MEMORY_OR_REGISTER | addressSize(insn) | (insn.reg << 28);
  return memoryOperand(insn) | (insn.reg << 28);
}

const TABLE_IDENTITY: Readonly<Record<string, number>> = { SGDT: 0, SIDT: 1, LGDT: 2, LIDT: 3, SLDT: 0, STR: 1, LLDT: 2, LTR: 3 };

/** LIDT, LGDT, SIDT, SGDT: with the operand size in bit 11. */
export function descriptorTableInformation(insn: Insn, mnemonic: string): number {
  return memoryOperand(insn) | (insn.operandBytes === 2 ? 0 : 0x800) | (TABLE_IDENTITY[mnemonic]! << 28);
}

/** LLDT, LTR, SLDT, STR: memory or Reg1. */
export function selectorInformation(insn: Insn, mnemonic: string): number {
  const identity = TABLE_IDENTITY[mnemonic]! << 28;
  if (insn.isRegisterForm) return (insn.rm << 3) | MEMORY_OR_REGISTER | addressSize(insn) | identity;
  return memoryOperand(insn) | identity;
}

/** INS and OUTS: the segment is defined for OUTS only. */
export function stringIoInformation(addressBytes: 2 | 4 | 8, segment: number): number {
  return ((addressBytes === 8 ? 2 : addressBytes === 4 ? 1 : 0) << 7) | (segment << 15);
}

/** The displacement of the memory operand, as the exit qualification has it: sign-extended; relative to RIP, the sum with the next instruction's address. In `op.low` and `op.high`. */
export function setDisplacement(op: VmxOperation, insn: Insn): void {
  if (insn.isRegisterForm) {
    op.low = op.high = 0;
    return;
  }
  op.low = insn.displacement;
  op.high = insn.addressBytes === 8 ? insn.displacementHigh : insn.displacement >> 31;
  if (insn.ripRelative) {
    const { nextRipLow, nextRipHigh } = op.cpu;
    op.high = addHigh(op.low, op.high, nextRipLow, nextRipHigh);
    op.low = (op.low + nextRipLow) | 0;
  }
}
