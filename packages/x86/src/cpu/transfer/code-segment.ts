import { Segment, State } from '../../state/layout.ts';
import { isCanonical } from '../address.ts';
import type { Cpu } from '../cpu.ts';
import { raise, Vector } from '../fault.ts';
import type { Descriptor } from '../segments/descriptor.ts';
import { markAccessed, selectorFault } from '../segments/descriptor-tables.ts';
import { setSegmentFromDescriptor } from '../segments/segment-register.ts';

/** In long mode a code segment may not have L and D both (SDM Vol. 3A, 5.2.1); raises `vector` with the selector. */
export function checkCodeSegmentSize(cpu: Cpu, descriptor: Descriptor, selector: number, vector: number): void {
  if (cpu.isLongMode && descriptor.isLong && descriptor.isBig) selectorFault(cpu, vector, selector);
}

/** #GP(0) where the target lies beyond the limit of the code segment to be loaded, or is not canonical (64-bit mode). */
export function checkTargetOffset(cpu: Cpu, descriptor: Descriptor, offsetLow: number, offsetHigh: number): void {
  if (cpu.isLongMode && descriptor.isLong) {
    if (!isCanonical(cpu, offsetHigh)) raise(Vector.GP, cpu.ext);
  } else if (offsetHigh !== 0 || offsetLow >>> 0 > descriptor.limit) {
    raise(Vector.GP, cpu.ext);
  }
}

/** Loads CS and CPL from a checked descriptor. */
export function loadCodeSegment(cpu: Cpu, selector: number, descriptor: Descriptor, cpl: number): void {
  markAccessed(cpu, descriptor);
  setSegmentFromDescriptor(cpu.registers, Segment.CS, (selector & 0xfffc) | cpl, descriptor);
  cpu.registers.set32(State.cpl, cpl);
}
