import { SEGMENT_STRIDE, Segment, SegmentField, State, segmentOffset } from '../../state/layout.ts';
import type { Registers } from '../../state/registers.ts';
import { Attribute, type Descriptor } from './descriptor.ts';

/**
 * Segment registers with their hidden parts: the only writers of them, so that the ranges derived from type and limit always fit.
 */

/** Visible part. */
export function selectorOf(registers: Registers, segment: number): number {
  return registers.get32(segmentOffset(segment, 'selector')) & 0xffff;
}

export function attributesOf(registers: Registers, segment: number): number {
  return registers.get32(segmentOffset(segment, 'attributes'));
}

/** Inclusive, unsigned. */
export function limitOf(registers: Registers, segment: number): number {
  return registers.get32(segmentOffset(segment, 'limit')) >>> 0;
}

/** Low half of the base, signed. */
export function baseLowOf(registers: Registers, segment: number): number {
  return registers.get32(segmentOffset(segment, 'base'));
}

export function baseHighOf(registers: Registers, segment: number): number {
  return registers.get32(segmentOffset(segment, 'base') + 4);
}

/** Base, for FS and GS in 64-bit mode (WRFSBASE, MSRs, SWAPGS): nothing else of the hidden part changes. */
export function setBase(registers: Registers, segment: number, low: number, high: number): void {
  const offset = segmentOffset(segment, 'base');
  registers.set32(offset, low);
  registers.set32(offset + 4, high);
}

/** Everything at once. `limit` is in bytes, inclusive. */
export function setSegment(
  registers: Registers,
  segment: number,
  selector: number,
  attributes: number,
  limit: number,
  baseLow: number,
  baseHigh = 0,
): void {
  const at = State.segments + segment * SEGMENT_STRIDE;
  registers.set32(at + SegmentField.selector, selector);
  registers.set32(at + SegmentField.attributes, attributes);
  registers.set32(at + SegmentField.limit, limit);
  registers.set32(at + SegmentField.base, baseLow);
  registers.set32(at + SegmentField.base + 4, baseHigh);
  deriveRanges(registers, at, attributes, limit >>> 0);
}

/** From a descriptor whose checks have passed; the hidden copy has the accessed bit set, as the table then has. */
export function setSegmentFromDescriptor(registers: Registers, segment: number, selector: number, descriptor: Descriptor): void {
  const accessed = descriptor.isSystem ? 0 : Attribute.ACCESSED;
  setSegment(registers, segment, selector, descriptor.attributes | accessed, descriptor.limit, descriptor.baseLow, descriptor.baseHigh);
}

/** A null selector (SDM Vol. 3A, 3.4.2): unusable. `dpl` matters for SS in 64-bit mode. */
export function setNullSegment(registers: Registers, segment: number, selector: number, dpl = 0): void {
  setSegment(registers, segment, selector, Attribute.UNUSABLE | (dpl << Attribute.DPL_SHIFT), 0, 0);
}

/** Real-address mode (SDM Vol. 3A, 20.1.1): only selector and base change; limit, D/B and G stay what they were ("unreal mode" rests on it). */
export function setRealModeSegment(registers: Registers, segment: number, selector: number): void {
  const kept = attributesOf(registers, segment) & (Attribute.DB | Attribute.G);
  setSegment(registers, segment, selector, 0x93 | kept, limitOf(registers, segment), selector << 4);
}

/** Virtual-8086 mode (SDM Vol. 3A, 20.2.1): 64 KiB, writable, DPL 3. */
export function setVirtual8086Segment(registers: Registers, segment: number, selector: number): void {
  setSegment(registers, segment, selector, 0xf3, 0xffff, selector << 4);
}

const WHOLE = 0xffffffff;

/** The offsets at which data may be read and written outside 64-bit mode (SDM Vol. 3A, 5.3 "Limit Checking", 5.4 "Type Checking"). */
function deriveRanges(registers: Registers, at: number, attributes: number, limit: number): void {
  let low = 0;
  let high = limit;
  let readable = (attributes & Attribute.P) !== 0 && (attributes & (Attribute.UNUSABLE | Attribute.S)) === Attribute.S;
  let writable = readable && (attributes & (Attribute.CODE | Attribute.WRITABLE_OR_READABLE)) === Attribute.WRITABLE_OR_READABLE;
  if ((attributes & Attribute.CODE) !== 0) {
    readable = readable && (attributes & Attribute.WRITABLE_OR_READABLE) !== 0;
  } else if ((attributes & Attribute.EXPAND_DOWN_OR_CONFORMING) !== 0) {
    low = limit + 1;
    high = (attributes & Attribute.DB) !== 0 ? WHOLE : 0xffff;
    if (low > high) readable = writable = false;
  }
  registers.set32(at + SegmentField.readLow, readable ? low : 1);
  registers.set32(at + SegmentField.readHigh, readable ? high : 0);
  registers.set32(at + SegmentField.writeLow, writable ? low : 1);
  registers.set32(at + SegmentField.writeHigh, writable ? high : 0);
}

/** True where base is 0 and every offset may be read and written. */
export function isFlatData(registers: Registers, segment: number): boolean {
  return (
    baseLowOf(registers, segment) === 0 &&
    registers.get32(segmentOffset(segment, 'writeLow')) === 0 &&
    registers.get32(segmentOffset(segment, 'writeHigh')) === -1 &&
    registers.get32(segmentOffset(segment, 'readLow')) === 0 &&
    registers.get32(segmentOffset(segment, 'readHigh')) === -1
  );
}

/** RPL of the visible CS and CPL are the same but in real mode, where CPL is 0 (SDM Vol. 3A, 5.5). */
export function currentPrivilegeLevel(registers: Registers): number {
  return registers.get32(State.cpl);
}

/** The registers that hold data. */
export const DATA_SEGMENTS: readonly number[] = [Segment.ES, Segment.DS, Segment.FS, Segment.GS] as const;
