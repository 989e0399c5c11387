import { Segment } from '../../state/layout.ts';
import type { Cpu } from '../cpu.ts';
import { raise, Vector } from '../fault.ts';
import { Attribute, type Descriptor } from '../segments/descriptor.ts';
import { isNull, markAccessed, readDescriptor, selectorFault } from '../segments/descriptor-tables.ts';
import { checkStackSegment } from '../segments/load.ts';
import { attributesOf, DATA_SEGMENTS, setNullSegment, setSegmentFromDescriptor } from '../segments/segment-register.ts';
import { StackCursor } from '../stack.ts';
import { checkCodeSegmentSize, checkTargetOffset, loadCodeSegment } from './code-segment.ts';
import { loadLegacyCode } from './far-jump.ts';

/** RET far (SDM Vol. 2B, RET "Operation"). `release`: bytes of parameters to drop on both stacks. */
export function farReturn(cpu: Cpu, bytes: 2 | 4 | 8, release: number): void {
  const stack = StackCursor.current(cpu);
  const ipLow = stack.pop(bytes) | 0;
  const ipHigh = stack.high;
  const selector = stack.pop(bytes) & 0xffff;
  if (!cpu.isProtected) {
    loadLegacyCode(cpu, selector, ipLow);
    stack.move(release);
    stack.commit();
    return;
  }
  const code = checkReturnCode(cpu, selector, ipLow, ipHigh);
  stack.move(release);
  if ((selector & 3) > cpu.cpl) {
    const spLow = stack.pop(bytes) | 0;
    const spHigh = stack.high;
    const ssSelector = stack.pop(bytes) & 0xffff;
    returnToOuter(cpu, selector, code, ssSelector, spLow, spHigh, release);
  } else {
    loadCodeSegment(cpu, selector, code, cpu.cpl);
    stack.commit();
  }
  cpu.jumpTo(ipLow, ipHigh);
  cpu.updateMode();
}

/** The checks on CS:rIP that RET and IRET share. */
export function checkReturnCode(cpu: Cpu, selector: number, ipLow: number, ipHigh: number): Descriptor {
  if (isNull(selector)) raise(Vector.GP, 0);
  const code = readDescriptor(cpu, selector, Vector.GP);
  const rpl = selector & 3;
  if (!code.isCode || rpl < cpu.cpl) selectorFault(cpu, Vector.GP, selector);
  checkCodeSegmentSize(cpu, code, selector, Vector.GP);
  if (code.isConforming ? code.dpl > rpl : code.dpl !== rpl) selectorFault(cpu, Vector.GP, selector);
  if (!code.isPresent) selectorFault(cpu, Vector.NP, selector);
  checkTargetOffset(cpu, code, ipLow, ipHigh);
  return code;
}

/** Loads SS of an outer level, CS, CPL and rSP, and takes away data segments that the outer level may not use. */
export function returnToOuter(
  cpu: Cpu,
  selector: number,
  code: Descriptor,
  ssSelector: number,
  spLow: number,
  spHigh: number,
  release: number,
): void {
  const cpl = selector & 3;
  loadReturnStack(cpu, code, ssSelector, cpl);
  loadCodeSegment(cpu, selector, code, cpl);
  cpu.updateMode();
  const stack = StackCursor.current(cpu);
  stack.pointerLow = spLow;
  stack.pointerHigh = spHigh;
  stack.move(release);
  stack.commit();
  dropInnerDataSegments(cpu, cpl);
}

/** SS for a return to privilege level `cpl`: null is allowed when returning to 64-bit code below CPL 3. */
export function loadReturnStack(cpu: Cpu, code: Descriptor, ssSelector: number, cpl: number): void {
  const { registers } = cpu;
  if (isNull(ssSelector)) {
    if (!cpu.isLongMode || !code.isLong || cpl === 3 || (ssSelector & 3) !== cpl) raise(Vector.GP, 0);
    setNullSegment(registers, Segment.SS, ssSelector, cpl);
    return;
  }
  const ss = checkStackSegment(cpu, ssSelector, cpl, Vector.GP);
  markAccessed(cpu, ss);
  setSegmentFromDescriptor(registers, Segment.SS, ssSelector, ss);
}

/** SDM Vol. 3A, 5.8.6: ES, DS, FS and GS become null where they point to data (or nonconforming code) of an inner level. */
export function dropInnerDataSegments(cpu: Cpu, cpl: number): void {
  const { registers } = cpu;
  for (const segment of DATA_SEGMENTS) {
    const attributes = attributesOf(registers, segment);
    if ((attributes & Attribute.UNUSABLE) !== 0) continue;
    const dpl = (attributes >>> Attribute.DPL_SHIFT) & 3;
    const conforming =
      (attributes & (Attribute.CODE | Attribute.EXPAND_DOWN_OR_CONFORMING)) === (Attribute.CODE | Attribute.EXPAND_DOWN_OR_CONFORMING);
    if (dpl < cpl && !conforming) setNullSegment(registers, segment, 0);
  }
}
