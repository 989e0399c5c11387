import { Gpr, Segment } from '../../state/layout.ts';
import type { Cpu } from '../cpu.ts';
import { raise, Vector } from '../fault.ts';
import { type Descriptor, SystemType } from '../segments/descriptor.ts';
import { isNull, markAccessed, readDescriptor, selectorFault } from '../segments/descriptor-tables.ts';
import { checkStackSegment } from '../segments/load.ts';
import { selectorOf, setNullSegment, setSegmentFromDescriptor } from '../segments/segment-register.ts';
import { StackCursor } from '../stack.ts';
import { checkTargetOffset, loadCodeSegment } from './code-segment.ts';
import { readTssStack } from './deliver-long.ts';
import { checkDirectCode, checkGatePrivilege, gateTarget, isCallGate, loadLegacyCode, switchToTask } from './far-jump.ts';
import { readInnerStack } from './tss.ts';

/** CALL far (SDM Vol. 2A, CALL "Operation"): to a code segment, through a call gate with or without a change of privilege, or to a task. */
export function farCall(cpu: Cpu, selector: number, offsetLow: number, offsetHigh: number, bytes: 2 | 4 | 8): void {
  if (!cpu.isProtected) {
    const stack = pushReturn(cpu, StackCursor.current(cpu), bytes);
    loadLegacyCode(cpu, selector, offsetLow);
    stack.commit();
    return;
  }
  if (isNull(selector)) raise(Vector.GP, 0);
  const descriptor = readDescriptor(cpu, selector, Vector.GP);
  if (descriptor.isSystem) {
    callThroughSystemDescriptor(cpu, selector, descriptor);
    return;
  }
  checkDirectCode(cpu, selector, descriptor);
  const stack = pushReturn(cpu, StackCursor.current(cpu), bytes);
  checkTargetOffset(cpu, descriptor, offsetLow, offsetHigh);
  loadCodeSegment(cpu, selector, descriptor, cpu.cpl);
  stack.commit();
  cpu.jumpTo(offsetLow, offsetHigh);
  cpu.updateMode();
}

function pushReturn(cpu: Cpu, stack: StackCursor, bytes: 2 | 4 | 8): StackCursor {
  stack.push(bytes, selectorOf(cpu.registers, Segment.CS), 0);
  stack.push(bytes, cpu.nextRipLow, cpu.nextRipHigh);
  return stack;
}

function callThroughSystemDescriptor(cpu: Cpu, selector: number, descriptor: Descriptor): void {
  if (switchToTask(cpu, selector, descriptor, 'call')) return;
  if (!isCallGate(cpu, descriptor)) selectorFault(cpu, Vector.GP, selector);
  checkGatePrivilege(cpu, selector, descriptor);
  if (!descriptor.isPresent) selectorFault(cpu, Vector.NP, selector);
  const { selector: target, code, offsetLow, offsetHigh } = gateTarget(cpu, descriptor);
  const bytes = cpu.isLongMode ? 8 : descriptor.type === SystemType.CALL_GATE ? 4 : 2;
  const cpl = code.isConforming ? cpu.cpl : code.dpl;
  if (cpl < cpu.cpl) {
    if (cpu.isLongMode) callInnerLong(cpu, cpl, code, offsetLow, offsetHigh);
    else callInner(cpu, cpl, bytes === 4 ? 4 : 2, descriptor.gateParameters, code, offsetLow);
  } else {
    const stack = pushReturn(cpu, StackCursor.current(cpu), bytes);
    checkTargetOffset(cpu, code, offsetLow, offsetHigh);
    stack.commit();
  }
  loadCodeSegment(cpu, target, code, cpl);
  cpu.jumpTo(offsetLow, offsetHigh);
  cpu.updateMode();
}

/** Stack switch of a 16- or 32-bit gate: SS:eSP, the parameters, CS:eIP (SDM Vol. 3A, 5.8.5). */
function callInner(cpu: Cpu, cpl: number, bytes: 2 | 4, parameters: number, code: Descriptor, offset: number): void {
  const { registers } = cpu;
  const pointer = readInnerStack(cpu, cpl);
  const ss = checkStackSegment(cpu, pointer.selector, cpl, Vector.TS);
  const old = StackCursor.current(cpu);
  const copied = Array.from({ length: parameters }, () => old.pop(bytes));
  const stack = StackCursor.inner(cpu, ss, pointer.sp, 'supervisor', pointer.selector & 0xfffc);
  checkTargetOffset(cpu, code, offset, 0);
  stack.push(bytes, selectorOf(registers, Segment.SS));
  stack.push(bytes, registers.gprLow(Gpr.RSP));
  for (const value of copied.reverse()) stack.push(bytes, value);
  pushReturn(cpu, stack, bytes);
  markAccessed(cpu, ss);
  setSegmentFromDescriptor(registers, Segment.SS, pointer.selector, ss);
  stack.commit();
}

/** Stack switch in IA-32e mode: RSP from the TSS, SS null; no parameters (SDM Vol. 3A, 5.8.5.1). */
function callInnerLong(cpu: Cpu, cpl: number, code: Descriptor, offsetLow: number, offsetHigh: number): void {
  const { registers } = cpu;
  checkTargetOffset(cpu, code, offsetLow, offsetHigh);
  readTssStack(cpu, 4 + cpl * 8);
  const stack = StackCursor.wide(cpu, cpu.linearLow, cpu.linearHigh, 'supervisor', 0);
  stack.push(8, selectorOf(registers, Segment.SS), 0);
  stack.push(8, registers.gprLow(Gpr.RSP), registers.gprHigh(Gpr.RSP));
  pushReturn(cpu, stack, 8);
  setNullSegment(registers, Segment.SS, cpl, cpl);
  stack.commit();
}
