import { Segment } from '../../state/layout.ts';
import type { Cpu } from '../cpu.ts';
import { Vector } from '../fault.ts';
import { Attribute, SystemType } from '../segments/descriptor.ts';
import { selectorFault } from '../segments/descriptor-tables.ts';
import { attributesOf, baseLowOf, limitOf, selectorOf } from '../segments/segment-register.ts';

/** True where TR holds a 32-bit (in long mode: 64-bit) TSS. */
export function tssIs32(cpu: Cpu): boolean {
  return (attributesOf(cpu.registers, Segment.TR) & SystemType.TSS_AVAILABLE & 8) !== 0;
}

/** SSn:ESPn of the current TSS in legacy modes (SDM Vol. 3A, Figures 7-2 and 7-10). #TS(TR) where its limit does not hold them. */
export function readInnerStack(cpu: Cpu, level: number): { selector: number; sp: number } {
  const { registers, linear } = cpu;
  const base = baseLowOf(registers, Segment.TR);
  const wide = tssIs32(cpu);
  const offset = wide ? 4 + 8 * level : 2 + 4 * level;
  if (offset + (wide ? 5 : 3) > limitOf(registers, Segment.TR)) selectorFault(cpu, Vector.TS, selectorOf(registers, Segment.TR));
  const at = (base + offset) | 0;
  // SDM Vol. 2A, INT n "Operation": SS comes first; which of the two faults is seen in CR2, or in an EPT violation.
  const selector = linear.read16((at + (wide ? 4 : 2)) | 0, 0, 'supervisor');
  return { selector, sp: wide ? linear.read32(at, 0, 'supervisor') : linear.read16(at, 0, 'supervisor') };
}

/** Whether TR holds a usable TSS. */
export function hasTss(cpu: Cpu): boolean {
  const attributes = attributesOf(cpu.registers, Segment.TR);
  return (attributes & Attribute.UNUSABLE) === 0 && (attributes & Attribute.P) !== 0;
}
