import { Segment } from '../../state/layout.ts';
import type { Cpu } from '../cpu.ts';
import { raise, Vector } from '../fault.ts';
import { type Descriptor, SystemType } from '../segments/descriptor.ts';
import { isNull, readDescriptor, selectorFault } from '../segments/descriptor-tables.ts';
import { limitOf, setRealModeSegment, setVirtual8086Segment } from '../segments/segment-register.ts';
import { checkCodeSegmentSize, checkTargetOffset, loadCodeSegment } from './code-segment.ts';
import { switchTask } from './task-switch.ts';

/** JMP far (SDM Vol. 2A, JMP "Operation"): to a code segment, through a call gate, or to a task. Offsets are halves, already of the operand size. */
export function farJump(cpu: Cpu, selector: number, offsetLow: number, offsetHigh: number): void {
  if (!cpu.isProtected) {
    loadLegacyCode(cpu, selector, offsetLow);
    return;
  }
  if (isNull(selector)) raise(Vector.GP, 0);
  const descriptor = readDescriptor(cpu, selector, Vector.GP);
  if (descriptor.isSystem) {
    jumpThroughSystemDescriptor(cpu, selector, descriptor);
    return;
  }
  checkDirectCode(cpu, selector, descriptor);
  checkTargetOffset(cpu, descriptor, offsetLow, offsetHigh);
  loadCodeSegment(cpu, selector, descriptor, cpu.cpl);
  cpu.jumpTo(offsetLow, offsetHigh);
  cpu.updateMode();
}

/** Real-address and virtual-8086 mode: #GP(0) beyond the limit of CS. */
export function loadLegacyCode(cpu: Cpu, selector: number, offset: number): void {
  const { registers } = cpu;
  const limit = cpu.isVirtual8086 ? 0xffff : limitOf(registers, Segment.CS);
  if (offset >>> 0 > limit) raise(Vector.GP, 0);
  if (cpu.isVirtual8086) setVirtual8086Segment(registers, Segment.CS, selector);
  else setRealModeSegment(registers, Segment.CS, selector);
  cpu.jumpTo(offset, 0);
  cpu.updateMode();
}

/** A code segment named by JMP or CALL itself: same privilege, or conforming (SDM Vol. 3A, 5.8.1). */
export function checkDirectCode(cpu: Cpu, selector: number, code: Descriptor): void {
  if (!code.isCode) selectorFault(cpu, Vector.GP, selector);
  checkCodeSegmentSize(cpu, code, selector, Vector.GP);
  const allowed = code.isConforming ? code.dpl <= cpu.cpl : (selector & 3) <= cpu.cpl && code.dpl === cpu.cpl;
  if (!allowed) selectorFault(cpu, Vector.GP, selector);
  if (!code.isPresent) selectorFault(cpu, Vector.NP, selector);
}

/** A gate or TSS must be reachable from CPL and RPL (SDM Vol. 3A, 5.8.4). */
export function checkGatePrivilege(cpu: Cpu, selector: number, gate: Descriptor): void {
  if (gate.dpl < cpu.cpl || gate.dpl < (selector & 3)) selectorFault(cpu, Vector.GP, selector);
}

/** True for a call gate of the mode the CPU is in. */
export function isCallGate(cpu: Cpu, descriptor: Descriptor): boolean {
  return descriptor.type === SystemType.CALL_GATE || (descriptor.type === SystemType.CALL_GATE16 && !cpu.isLongMode);
}

/** Tasks, for JMP and CALL: through a TSS descriptor or a task gate. False where it is neither. */
export function switchToTask(cpu: Cpu, selector: number, descriptor: Descriptor, source: 'jmp' | 'call'): boolean {
  if (cpu.isLongMode) return false;
  const { type } = descriptor;
  if (type === SystemType.TSS_AVAILABLE || type === SystemType.TSS16_AVAILABLE) {
    checkGatePrivilege(cpu, selector, descriptor);
    switchTask(cpu, selector, source);
    return true;
  }
  if (type !== SystemType.TASK_GATE) return false;
  checkGatePrivilege(cpu, selector, descriptor);
  if (!descriptor.isPresent) selectorFault(cpu, Vector.NP, selector);
  switchTask(cpu, descriptor.gateSelector, source);
  return true;
}

/** The code segment that a call gate names, with its checks; `conformingOrSame`: JMP cannot change privilege. */
export function gateTarget(cpu: Cpu, gate: Descriptor): { selector: number; code: Descriptor; offsetLow: number; offsetHigh: number } {
  const selector = gate.gateSelector;
  if (isNull(selector)) raise(Vector.GP, 0);
  const code = readDescriptor(cpu, selector, Vector.GP);
  if (!code.isCode || code.dpl > cpu.cpl) selectorFault(cpu, Vector.GP, selector);
  // IA-32e mode: call gates lead to 64-bit code only.
  if (cpu.isLongMode && (!code.isLong || code.isBig)) selectorFault(cpu, Vector.GP, selector);
  if (!code.isPresent) selectorFault(cpu, Vector.NP, selector);
  const wide = gate.type === SystemType.CALL_GATE;
  return {
    selector,
    code,
    offsetLow: wide ? gate.gateOffsetLow : gate.gateOffsetLow & 0xffff,
    offsetHigh: cpu.isLongMode ? gate.gateOffsetHigh : 0,
  };
}

function jumpThroughSystemDescriptor(cpu: Cpu, selector: number, descriptor: Descriptor): void {
  if (switchToTask(cpu, selector, descriptor, 'jmp')) return;
  if (!isCallGate(cpu, descriptor)) selectorFault(cpu, Vector.GP, selector);
  checkGatePrivilege(cpu, selector, descriptor);
  if (!descriptor.isPresent) selectorFault(cpu, Vector.NP, selector);
  const target = gateTarget(cpu, descriptor);
  if (!target.code.isConforming && target.code.dpl !== cpu.cpl) selectorFault(cpu, Vector.GP, target.selector);
  checkTargetOffset(cpu, target.code, target.offsetLow, target.offsetHigh);
  loadCodeSegment(cpu, target.selector, target.code, cpu.cpl);
  cpu.jumpTo(target.offsetLow, target.offsetHigh);
  cpu.updateMode();
}
