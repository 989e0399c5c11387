import { Segment, State } from '../../state/layout.ts';
import { addHigh } from '../address.ts';
import type { Cpu } from '../cpu.ts';
import { raise } from '../fault.ts';
import { Attribute, Descriptor } from './descriptor.ts';
import { attributesOf, baseHighOf, baseLowOf, limitOf } from './segment-register.ts';

/** A null selector: index 0 of the GDT, any RPL (SDM Vol. 3A, 3.4.2). */
export function isNull(selector: number): boolean {
  return (selector & 0xfffc) === 0;
}

/** Raises an exception whose error code names a selector; EXT is set while an external event is being delivered (SDM Vol. 3A, 6.13). */
export function selectorFault(cpu: Cpu, vector: number, selector: number): never {
  raise(vector, (selector & 0xfffc) | cpu.ext);
}

/**
 * Reads the descriptor that a selector (not null) names, in the GDT or LDT. In long mode a system descriptor has 16 bytes.
 * Raises `vector` with the selector where it lies beyond the table's limit.
 */
export function readDescriptor(cpu: Cpu, selector: number, vector: number): Descriptor {
  const descriptor = tryReadDescriptor(cpu, selector);
  if (descriptor === undefined) selectorFault(cpu, vector, selector);
  return descriptor;
}

/** As `readDescriptor`; undefined beyond the limit (LAR, LSL, VERR and VERW do not fault then). */
export function tryReadDescriptor(cpu: Cpu, selector: number): Descriptor | undefined {
  const { registers, linear } = cpu;
  const local = (selector & 4) !== 0;
  if (local && (attributesOf(registers, Segment.LDTR) & Attribute.UNUSABLE) !== 0) return undefined;
  const baseLow = local ? baseLowOf(registers, Segment.LDTR) : registers.get32(State.gdtrBase);
  const baseHigh = local ? baseHighOf(registers, Segment.LDTR) : registers.get32(State.gdtrBase + 4);
  const limit = local ? limitOf(registers, Segment.LDTR) : registers.get32(State.gdtrLimit);
  const offset = selector & 0xfff8;
  if (offset + 7 > limit) return undefined;
  const low = (baseLow + offset) | 0;
  const high = cpu.isLongMode ? addHigh(baseLow, baseHigh, offset, 0) : 0;
  linear.probe(low, high, 8, false, 'supervisor');
  const word0 = linear.read32(low, high, 'supervisor') | 0;
  const word1 = linear.read32((low + 4) | 0, addressHigh(cpu, low, high, 4), 'supervisor') | 0;
  let upper = 0;
  if (cpu.isLongMode && (word1 & (1 << 12)) === 0) {
    if (offset + 15 > limit) return undefined;
    upper = linear.read32((low + 8) | 0, addressHigh(cpu, low, high, 8), 'supervisor') | 0;
    const word3 = linear.read32((low + 12) | 0, addressHigh(cpu, low, high, 12), 'supervisor');
    // SDM Vol. 3A, 3.5.2: the type field of the upper eight bytes must be 0, so that it is no descriptor of its own.
    if ((word3 & 0x1f00) !== 0) return undefined;
  }
  return new Descriptor(word0, word1, upper, low, high);
}

function addressHigh(cpu: Cpu, low: number, high: number, bytes: number): number {
  return cpu.isLongMode ? addHigh(low, high, bytes, 0) : 0;
}

/** Sets the accessed bit in the table where it is clear (SDM Vol. 3A, 3.4.5.1). */
export function markAccessed(cpu: Cpu, descriptor: Descriptor): void {
  if ((descriptor.high & (1 << 8)) === 0) writeTypeByte(cpu, descriptor, 1, 0);
}

/** Sets or clears the busy bit of a TSS descriptor in the table (SDM Vol. 3A, 7.2.2). */
export function setBusy(cpu: Cpu, descriptor: Descriptor, busy: boolean): void {
  writeTypeByte(cpu, descriptor, busy ? 2 : 0, busy ? 0 : 2);
}

function writeTypeByte(cpu: Cpu, descriptor: Descriptor, set: number, clear: number): void {
  const low = (descriptor.linearLow + 5) | 0;
  const high = addressHigh(cpu, descriptor.linearLow, descriptor.linearHigh, 5);
  const old = cpu.linear.read8(low, high, 'supervisor');
  cpu.linear.write8(low, high, (old | set) & ~clear, 'supervisor');
}
