import { InterruptShadow } from '../../cpu/activity.ts';
import type { Cpu } from '../../cpu/cpu.ts';
import { raise, Vector } from '../../cpu/fault.ts';
import { loadSegment } from '../../cpu/segments/load.ts';
import { StackCursor } from '../../cpu/stack.ts';
import type { Insn } from '../../decode/insn.ts';
import { Segment } from '../../state/layout.ts';
import { type InstructionRow, system } from '../../table/row.ts';
import { readMemory, readRm, writeGpr } from './operand-access.ts';

/** MOV to segment registers, POP Sreg, LDS and its kin (SDM Vol. 2). */

/** MOV SS and POP SS, but not LSS, hold interrupts and debug traps for one instruction (SDM Vol. 3A, 6.8.3). */
function load(cpu: Cpu, segment: number, selector: number): void {
  loadSegment(cpu, segment, selector);
  if (segment === Segment.SS) cpu.holdInterrupts(InterruptShadow.MOV_SS);
}

function pop(segment: number): (cpu: Cpu, insn: Insn) => void {
  return (cpu, insn) => {
    const stack = StackCursor.current(cpu);
    const selector = stack.pop(insn.operandBytes) & 0xffff;
    load(cpu, segment, selector);
    // The new stack size does not matter for this pop: the cursor knows the old one.
    stack.commit();
  };
}

function loadFar(segment: number): (cpu: Cpu, insn: Insn) => void {
  return (cpu, insn) => {
    const { operandBytes } = insn;
    const low = readMemory(cpu, insn, operandBytes === 2 ? 2 : 4, 0);
    const high = operandBytes === 8 ? readMemory(cpu, insn, 4, 4) : 0;
    loadSegment(cpu, segment, readMemory(cpu, insn, 2, operandBytes));
    writeGpr(cpu, insn.reg, operandBytes, low, high);
  };
}

export const segmentRegisterRows: readonly InstructionRow[] = [
  system('MOV', ['8E /r Sw,Ew'], (cpu, insn) => {
    const segment = insn.reg & 7;
    if (segment === Segment.CS || segment > 5) raise(Vector.UD);
    load(cpu, segment, readRm(cpu, insn, 2));
  }),
  system('POP', ['07 ES i64'], pop(Segment.ES)),
  system('POP', ['17 SS i64'], pop(Segment.SS)),
  system('POP', ['1F DS i64'], pop(Segment.DS)),
  system('POP', ['0F A1 FS d64'], pop(Segment.FS)),
  system('POP', ['0F A9 GS d64'], pop(Segment.GS)),
  system('LES', ['C4 /r Gv,Mp i64'], loadFar(Segment.ES)),
  system('LDS', ['C5 /r Gv,Mp i64'], loadFar(Segment.DS)),
  system('LSS', ['0F B2 /r Gv,Mp'], loadFar(Segment.SS)),
  system('LFS', ['0F B4 /r Gv,Mp'], loadFar(Segment.FS)),
  system('LGS', ['0F B5 /r Gv,Mp'], loadFar(Segment.GS)),
];
