import { Segment } from '../../state/layout.ts';
import type { Cpu } from '../cpu.ts';
import { raise, Vector } from '../fault.ts';
import type { Descriptor } from './descriptor.ts';
import { isNull, markAccessed, readDescriptor, selectorFault } from './descriptor-tables.ts';
import { setNullSegment, setRealModeSegment, setSegmentFromDescriptor, setVirtual8086Segment } from './segment-register.ts';

/**
 * Loads ES, SS, DS, FS or GS as MOV, POP and LDS ... do in the mode the CPU is in (SDM Vol. 2B, MOV "Operation"; Vol. 3A, 5.6, 5.7). Faults before any change.
 */
export function loadSegment(cpu: Cpu, segment: number, selector: number): void {
  if (cpu.isProtected) {
    if (segment === Segment.SS) loadStackSegment(cpu, selector);
    else loadDataSegment(cpu, segment, selector);
  } else if (cpu.isVirtual8086) {
    setVirtual8086Segment(cpu.registers, segment, selector);
  } else {
    setRealModeSegment(cpu.registers, segment, selector);
  }
  cpu.updateMode();
}

function loadDataSegment(cpu: Cpu, segment: number, selector: number): void {
  if (isNull(selector)) {
    setNullSegment(cpu.registers, segment, selector);
    return;
  }
  const descriptor = checkDataSegment(cpu, selector, cpu.cpl, Vector.GP);
  markAccessed(cpu, descriptor);
  setSegmentFromDescriptor(cpu.registers, segment, selector, descriptor);
}

/** The checks for a data segment register; `vector` is #GP, or #TS in a task switch. */
export function checkDataSegment(cpu: Cpu, selector: number, cpl: number, vector: number): Descriptor {
  const descriptor = readDescriptor(cpu, selector, vector);
  if (descriptor.isSystem || !descriptor.isReadable) selectorFault(cpu, vector, selector);
  if (!descriptor.isConforming && ((selector & 3) > descriptor.dpl || cpl > descriptor.dpl)) selectorFault(cpu, vector, selector);
  if (!descriptor.isPresent) selectorFault(cpu, Vector.NP, selector);
  return descriptor;
}

function loadStackSegment(cpu: Cpu, selector: number): void {
  if (isNull(selector)) {
    // 64-bit mode: a null SS is allowed below CPL 3, with RPL = CPL.
    if (!cpu.is64Bit || cpu.cpl === 3 || (selector & 3) !== cpu.cpl) raise(Vector.GP, cpu.ext);
    setNullSegment(cpu.registers, Segment.SS, selector, cpu.cpl);
    return;
  }
  const descriptor = checkStackSegment(cpu, selector, cpu.cpl, Vector.GP);
  markAccessed(cpu, descriptor);
  setSegmentFromDescriptor(cpu.registers, Segment.SS, selector, descriptor);
}

/** The checks for SS at privilege level `cpl`; `vector` is #GP, or #TS for the stacks that a TSS names. */
export function checkStackSegment(cpu: Cpu, selector: number, cpl: number, vector: number): Descriptor {
  if (isNull(selector)) selectorFault(cpu, vector, selector);
  const descriptor = readDescriptor(cpu, selector, vector);
  if ((selector & 3) !== cpl || !descriptor.isWritableData || descriptor.dpl !== cpl) selectorFault(cpu, vector, selector);
  if (!descriptor.isPresent) selectorFault(cpu, Vector.SS, selector);
  return descriptor;
}
