import { Attribute, type Cpu, type Registers, segmentOffset, setSegment } from '@minusone/x86';

/** The attributes of a VMCB, bits 11:8 and 7:0 (APM Vol. 2, 15.5.1 "Segment State in the VMCB"), as the state has them. P = 0 is a null segment. */
export function attributesFromVmcb(attributes: number, alwaysUsable: boolean): number {
  const present = (attributes & Attribute.P) !== 0 || alwaysUsable;
  return (attributes & 0xff) | ((attributes & 0xf00) << 4) | (present ? 0 : Attribute.UNUSABLE);
}

/** And back. */
export function attributesToVmcb(attributes: number): number {
  const packed = (attributes & 0xff) | ((attributes >>> 4) & 0xf00);
  return (attributes & Attribute.UNUSABLE) === 0 ? packed : packed & ~Attribute.P;
}

/** The canonical form of an address's high half: VMRUN and VMLOAD sign-extend the bases that they load (APM Vol. 2, 15.5.1 "Canonicalization and Consistency Checks"). */
export function canonicalHigh(high: number, linearAddressWidth: number): number {
  const unused = 64 - linearAddressWidth;
  return (high << unused) >> unused;
}

/** Places of a segment register's parts in the state. */
const STRIDE: number = segmentOffset(1, 'base') - segmentOffset(0, 'base');
const BASE: number = segmentOffset(0, 'base');
const LIMIT: number = segmentOffset(0, 'limit');
const SELECTOR: number = segmentOffset(0, 'selector');
const ATTRIBUTES: number = segmentOffset(0, 'attributes');

/** Loads a segment register from its four doublewords. */
export function loadSegment(cpu: Cpu, words: Int32Array, at: number, segment: number, width: number, alwaysUsable = false): void {
  const first = words[at] as number;
  const high = canonicalHigh(words[at + 3] as number, width);
  const attributes = attributesFromVmcb(first >>> 16, alwaysUsable);
  setSegment(cpu.registers, segment, first & 0xffff, attributes, words[at + 1] as number, words[at + 2] as number, high);
}

/** Saves a segment register in its four doublewords. */
export function saveSegment(registers: Registers, words: Int32Array, at: number, segment: number): void {
  const offset = segment * STRIDE;
  words[at] = (registers.get32(SELECTOR + offset) & 0xffff) | (attributesToVmcb(registers.get32(ATTRIBUTES + offset)) << 16);
  words[at + 1] = registers.get32(LIMIT + offset);
  words[at + 2] = registers.get32(BASE + offset);
  words[at + 3] = registers.get32(BASE + offset + 4);
}
