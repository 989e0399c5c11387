import { Segment, State } from '../../state/layout.ts';
import type { Cpu } from '../cpu.ts';
import { Eflags, readEflags, writeEflags } from '../eflags.ts';
import type { DeliveredEvent } from '../event.ts';
import { raise, Vector } from '../fault.ts';
import { selectorOf, setRealModeSegment, setVirtual8086Segment } from '../segments/segment-register.ts';
import { StackCursor } from '../stack.ts';

/** Real-address mode (SDM Vol. 3A, 20.1.4): through the interrupt vector table. No error code. */
export function deliverReal(cpu: Cpu, event: DeliveredEvent): void {
  const { registers, linear } = cpu;
  const index = event.vector * 4;
  // SDM Vol. 2A, INT n, REAL-ADDRESS-MODE: beyond the limit is #GP, which becomes a double fault if it recurs.
  if (index + 3 > registers.get32(State.idtrLimit)) raise(Vector.GP, 0);
  const entry = linear.read32((registers.get32(State.idtrBase) + index) | 0, 0, 'supervisor');
  const stack = StackCursor.current(cpu);
  stack.push(2, readEflags(registers));
  stack.push(2, selectorOf(registers, Segment.CS));
  stack.push(2, event.returnLow);
  stack.commit();
  writeEflags(registers, 0, Eflags.IF | Eflags.TF | Eflags.AC | Eflags.RF);
  setRealModeSegment(registers, Segment.CS, entry >>> 16);
  cpu.jumpTo(entry & 0xffff, 0);
}

/**
 * INT n in virtual-8086 mode with CR4.VME, redirected to the 8086 program's own handler (SDM Vol. 3A, 20.3.3 "Class 3", methods 5 and 6). With IOPL below 3 the
 * frame shows VIF as IF and IOPL 3, and VIF is cleared instead of IF.
 */
export function deliverRedirected(cpu: Cpu, event: DeliveredEvent, ioplIs3: boolean): void {
  const { registers, linear } = cpu;
  const entry = linear.read32(event.vector * 4, 0, 'cpl');
  let image = readEflags(registers);
  if (!ioplIs3) image = (image & ~Eflags.IF) | ((image & Eflags.VIF) !== 0 ? Eflags.IF : 0) | Eflags.IOPL;
  const stack = StackCursor.current(cpu);
  stack.push(2, image);
  stack.push(2, selectorOf(registers, Segment.CS));
  stack.push(2, event.returnLow);
  stack.commit();
  writeEflags(registers, 0, Eflags.TF | Eflags.NT | (ioplIs3 ? Eflags.IF : Eflags.VIF));
  setVirtual8086Segment(registers, Segment.CS, entry >>> 16);
  cpu.jumpTo(entry & 0xffff, 0);
}
