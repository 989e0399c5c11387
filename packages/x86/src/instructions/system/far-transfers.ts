import type { Cpu } from '../../cpu/cpu.ts';
import { farCall } from '../../cpu/transfer/far-call.ts';
import { farJump } from '../../cpu/transfer/far-jump.ts';
import { farReturn } from '../../cpu/transfer/far-return.ts';
import { interruptReturn } from '../../cpu/transfer/iret.ts';
import type { Insn } from '../../decode/insn.ts';
import { type InstructionRow, system } from '../../table/row.ts';
import { readMemory } from './operand-access.ts';

/** JMP, CALL and RET far, IRET (SDM Vol. 2). */

type Transfer = (cpu: Cpu, selector: number, low: number, high: number, bytes: 2 | 4 | 8) => void;

/** ptr16:16 and ptr16:32: an immediate. */
function direct(transfer: Transfer): (cpu: Cpu, insn: Insn) => void {
  return (cpu, insn) => {
    const offset = insn.operandBytes === 2 ? insn.immediate & 0xffff : insn.immediate;
    transfer(cpu, insn.immediate2 & 0xffff, offset, 0, insn.operandBytes);
  };
}

/** m16:16, m16:32, m16:64. */
function indirect(transfer: Transfer): (cpu: Cpu, insn: Insn) => void {
  return (cpu, insn) => {
    const { operandBytes } = insn;
    const low = readMemory(cpu, insn, operandBytes === 2 ? 2 : 4, 0) | 0;
    const high = operandBytes === 8 ? readMemory(cpu, insn, 4, 4) | 0 : 0;
    transfer(cpu, readMemory(cpu, insn, 2, operandBytes), low, high, operandBytes);
  };
}

export const farTransferRows: readonly InstructionRow[] = [
  system('JMPF', ['EA Ap i64'], direct(farJump)),
  system('CALLF', ['9A Ap i64'], direct(farCall)),
  system('JMPF', ['FF /5 Mp'], indirect(farJump)),
  system('CALLF', ['FF /3 Mp'], indirect(farCall)),
  system('RETF', ['CB'], (cpu, insn) => farReturn(cpu, insn.operandBytes, 0)),
  system('RETF', ['CA Iw'], (cpu, insn) => farReturn(cpu, insn.operandBytes, insn.immediate & 0xffff)),
  system('IRET/IRETD/IRETQ', ['CF'], (cpu, insn) => {
    if (cpu.layer !== undefined) cpu.intercept({ kind: 'instruction', mnemonic: 'IRET' });
    interruptReturn(cpu, insn.operandBytes);
  }),
];
