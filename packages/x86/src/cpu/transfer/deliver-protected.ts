import { Gpr, Segment, State } from '../../state/layout.ts';
import type { Cpu } from '../cpu.ts';
import type { DeliveredEvent } from '../event.ts';
import { raise, Vector } from '../fault.ts';
import { SystemType } from '../segments/descriptor.ts';
import { isNull, markAccessed, readDescriptor, selectorFault } from '../segments/descriptor-tables.ts';
import { checkStackSegment } from '../segments/load.ts';
import { selectorOf, setNullSegment, setSegmentFromDescriptor } from '../segments/segment-register.ts';
import { StackCursor } from '../stack.ts';
import { checkTargetOffset, loadCodeSegment } from './code-segment.ts';
import { clearFlagsForHandler } from './deliver-long.ts';
import { switchTask } from './task-switch.ts';
import { readInnerStack } from './tss.ts';

/** Interrupt and exception delivery in protected and virtual-8086 mode (SDM Vol. 3A, 6.12; Vol. 2A, INT n "Operation"). */
export function deliverProtected(cpu: Cpu, event: DeliveredEvent, flagsImage: number): void {
  const { registers, linear } = cpu;
  const index = event.vector * 8;
  const gateError = index + 2 + cpu.ext;
  if (index + 7 > registers.get32(State.idtrLimit)) raise(Vector.GP, gateError);
  const gate = (registers.get32(State.idtrBase) + index) | 0;
  linear.probe(gate, 0, 8, false, 'supervisor');
  const word0 = linear.read32(gate, 0, 'supervisor');
  const word1 = linear.read32((gate + 4) | 0, 0, 'supervisor');
  const type = (word1 >>> 8) & 0x1f;
  const isTask = type === SystemType.TASK_GATE;
  const is32 = type === SystemType.INTERRUPT_GATE || type === SystemType.TRAP_GATE;
  const is16 = type === SystemType.INTERRUPT_GATE16 || type === SystemType.TRAP_GATE16;
  if (!isTask && !is32 && !is16) raise(Vector.GP, gateError);
  if (event.isSoftware && ((word1 >>> 13) & 3) < cpu.cpl) raise(Vector.GP, gateError);
  if ((word1 & 0x8000) === 0) raise(Vector.NP, gateError);
  const selector = word0 >>> 16;
  if (isTask) {
    switchTask(cpu, selector, 'gate', event, flagsImage);
    return;
  }

  if (isNull(selector)) raise(Vector.GP, cpu.ext);
  const code = readDescriptor(cpu, selector, Vector.GP);
  if (!code.isCode || code.dpl > cpu.cpl) selectorFault(cpu, Vector.GP, selector);
  if (!code.isPresent) selectorFault(cpu, Vector.NP, selector);
  const cpl = code.isConforming ? cpu.cpl : code.dpl;
  const fromVirtual8086 = cpu.isVirtual8086;
  if (fromVirtual8086 && cpl !== 0) selectorFault(cpu, Vector.GP, selector);
  const offset = is32 ? (word0 & 0xffff) | (word1 & 0xffff0000) : word0 & 0xffff;
  const bytes = is32 ? 4 : 2;
  const rights = cpl === 3 ? 'user' : 'supervisor';

  if (cpl < cpu.cpl) {
    const pointer = readInnerStack(cpu, cpl);
    const ss = checkStackSegment(cpu, pointer.selector, cpl, Vector.TS);
    const stack = StackCursor.inner(cpu, ss, pointer.sp, rights, (pointer.selector & 0xfffc) | cpu.ext);
    checkTargetOffset(cpu, code, offset, 0);
    if (fromVirtual8086)
      for (const segment of [Segment.GS, Segment.FS, Segment.DS, Segment.ES]) stack.push(bytes, selectorOf(registers, segment));
    stack.push(bytes, selectorOf(registers, Segment.SS));
    stack.push(bytes, registers.gprLow(Gpr.RSP));
    pushFrame(cpu, stack, event, flagsImage, bytes);
    markAccessed(cpu, ss);
    setSegmentFromDescriptor(registers, Segment.SS, pointer.selector, ss);
    if (fromVirtual8086) for (const segment of [Segment.GS, Segment.FS, Segment.DS, Segment.ES]) setNullSegment(registers, segment, 0);
    stack.commit();
  } else {
    const stack = StackCursor.current(cpu, rights, cpu.ext);
    checkTargetOffset(cpu, code, offset, 0);
    pushFrame(cpu, stack, event, flagsImage, bytes);
    stack.commit();
  }
  loadCodeSegment(cpu, selector, code, cpl);
  clearFlagsForHandler(cpu, type === SystemType.INTERRUPT_GATE || type === SystemType.INTERRUPT_GATE16);
  cpu.jumpTo(offset, 0);
}

function pushFrame(cpu: Cpu, stack: StackCursor, event: DeliveredEvent, flagsImage: number, bytes: 2 | 4): void {
  stack.push(bytes, flagsImage);
  stack.push(bytes, selectorOf(cpu.registers, Segment.CS));
  stack.push(bytes, event.returnLow);
  if (event.hasErrorCode) stack.push(bytes, event.errorCode);
}
