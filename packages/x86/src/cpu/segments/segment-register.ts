import { SEGMENT_STRIDE, Segment, SegmentField, State } from '../../state/layout.ts';
import type { Registers } from '../../state/registers.ts';
import { Attribute, type Descriptor } from './descriptor.ts';

/**
 * Segment registers with their hidden parts: the only writers of them, so that the ranges derived from type and limit always fit.
 */

/** Offsets of ES' parts: warm code adds the segment's. */
const BASE = State.segments + SegmentField.base;
const LIMIT = State.segments + SegmentField.limit;
const SELECTOR = State.segments + SegmentField.selector;
const ATTRIBUTES = State.segments + SegmentField.attributes;
const READ_LOW = State.segments + SegmentField.readLow;
const READ_HIGH = State.segments + SegmentField.readHigh;
const WRITE_LOW = State.segments + SegmentField.writeLow;
const WRITE_HIGH = State.segments + SegmentField.writeHigh;

/** Visible part. */
export function selectorOf(registers: Registers, segment: number): number {
  return registers.get32(SELECTOR + segment * SEGMENT_STRIDE) & 0xffff;
}

export function attributesOf(registers: Registers, segment: number): number {
  return registers.get32(ATTRIBUTES + segment * SEGMENT_STRIDE);
}

/** Inclusive, unsigned. */
export function limitOf(registers: Registers, segment: number): number {
  return registers.get32(LIMIT + segment * SEGMENT_STRIDE) >>> 0;
}

/** Low half of the base, signed. */
export function baseLowOf(registers: Registers, segment: number): number {
  return registers.get32(BASE + segment * SEGMENT_STRIDE);
}

export function baseHighOf(registers: Registers, segment: number): number {
  return registers.get32(BASE + segment * SEGMENT_STRIDE + 4);
}

/** Base, for FS and GS in 64-bit mode (WRFSBASE, MSRs, SWAPGS): nothing else of the hidden part changes. */
export function setBase(registers: Registers, segment: number, low: number, high: number): void {
  const offset = BASE + segment * SEGMENT_STRIDE;
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

/** What segments have in real-address mode after reset: present, writable data (SDM Vol. 3A, Table 9-1). */
const REAL_MODE_DATA = 0x93;

/**
 * Real-address mode (SDM Vol. 3A, 20.1.1): only selector and base change; limit and attributes stay what they were in protected mode (9.9.2), which "unreal mode" rests on. What was
 * unusable becomes data.
 */
export function setRealModeSegment(registers: Registers, segment: number, selector: number): void {
  const attributes = attributesOf(registers, segment);
  const kept = (attributes & Attribute.UNUSABLE) === 0 ? attributes : REAL_MODE_DATA;
  setSegment(registers, segment, selector, kept, limitOf(registers, segment), selector << 4);
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
  const offset = segment * SEGMENT_STRIDE;
  return (
    registers.get32(BASE + offset) === 0 &&
    registers.get32(WRITE_LOW + offset) === 0 &&
    registers.get32(WRITE_HIGH + offset) === -1 &&
    registers.get32(READ_LOW + offset) === 0 &&
    registers.get32(READ_HIGH + offset) === -1
  );
}

/** RPL of the visible CS and CPL are the same but in real mode, where CPL is 0 (SDM Vol. 3A, 5.5). */
export function currentPrivilegeLevel(registers: Registers): number {
  return registers.get32(State.cpl);
}

/** The registers that hold data. */
export const DATA_SEGMENTS: readonly number[] = [Segment.ES, Segment.DS, Segment.FS, Segment.GS] as const;
