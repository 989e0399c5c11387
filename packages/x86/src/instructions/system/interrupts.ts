import type { Cpu } from '../../cpu/cpu.ts';
import { Eflags, readEflags } from '../../cpu/eflags.ts';
import { EventType } from '../../cpu/event.ts';
import { raise, Vector } from '../../cpu/fault.ts';
import { type InstructionRow, system } from '../../table/row.ts';

/** INT n, INT3, INTO, INT1, and what is undefined on purpose (SDM Vol. 2). */

function softwareInterrupt(cpu: Cpu, vector: number): void {
  if (cpu.layer !== undefined) cpu.intercept({ kind: 'software-interrupt', vector });
  cpu.softwareInterrupt(vector, EventType.SOFTWARE_INTERRUPT);
}

const undefinedOpcode = (): void => raise(Vector.UD);

export const interruptRows: readonly InstructionRow[] = [
  system('INT', ['CD Ib'], (cpu, insn) => softwareInterrupt(cpu, insn.immediate & 0xff)),
  system('INT3', ['CC'], (cpu) => cpu.softwareInterrupt(Vector.BP, EventType.SOFTWARE_EXCEPTION)),
  system('INT1', ['F1'], (cpu) => cpu.softwareInterrupt(Vector.DB, EventType.PRIVILEGED_SOFTWARE_EXCEPTION)),
  system('INTO', ['CE i64'], (cpu) => {
    if ((readEflags(cpu.registers) & Eflags.OF) !== 0) cpu.softwareInterrupt(Vector.OF, EventType.SOFTWARE_EXCEPTION);
  }),
  system('UD0', ['0F FF /r Gv,Ev'], undefinedOpcode),
  system('UD1', ['0F B9 /r Gv,Ev'], undefinedOpcode),
  system('UD2', ['0F 0B'], undefinedOpcode),
  // Outside system-management mode, which there is none of.
  system('RSM', ['0F AA'], (cpu) => {
    if (cpu.layer !== undefined) cpu.intercept({ kind: 'instruction', mnemonic: 'RSM' });
    raise(Vector.UD);
  }),
];
