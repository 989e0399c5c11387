import { Segment, State, segmentOffset } from '../state/layout.ts';
import { Cr4 } from './control-bits.ts';
import type { Cpu } from './cpu.ts';
import { raise, Vector } from './fault.ts';
import { baseHighOf, baseLowOf } from './segments/segment-register.ts';

/** High half of the sum of two 64-bit numbers given as halves. */
export function addHigh(aLow: number, aHigh: number, bLow: number, bHigh: number): number {
  const carry = (aLow >>> 0) + (bLow >>> 0) > 0xffffffff ? 1 : 0;
  return (aHigh + bHigh + carry) | 0;
}

/** Canonical (SDM Vol. 1, 3.3.7.1): bits 63 to 47 (56 with 5-level paging) are alike. */
export function isCanonical(cpu: Cpu, high: number): boolean {
  return (cpu.registers.get32(State.cr4) & Cr4.LA57) !== 0 ? (high << 7) >> 7 === high : (high << 16) >> 16 === high;
}

export function isCanonical64(cpu: Cpu, address: bigint): boolean {
  return isCanonical(cpu, Number(BigInt.asIntN(32, address >> 32n)));
}

/**
 * Linear address of segment:offset for a data access of `bytes`, with the segment's checks (SDM Vol. 3A, 5.3; Vol. 1, 3.3.7.1 in 64-bit mode).
 * The answer is in `cpu.linearLow` and `cpu.linearHigh`: no allocation. Raises #SS(0) for the stack segment, #GP(0) for others.
 */
export function linearOf(cpu: Cpu, segment: number, offsetLow: number, offsetHigh: number, bytes: number, write: boolean): void {
  const { registers } = cpu;
  if (cpu.is64Bit) {
    let low = offsetLow | 0;
    let high = offsetHigh | 0;
    if (segment === Segment.FS || segment === Segment.GS) {
      const baseLow = baseLowOf(registers, segment);
      high = addHigh(baseLow, baseHighOf(registers, segment), low, high);
      low = (baseLow + low) | 0;
    }
    if (!isCanonical(cpu, high) || (bytes > 1 && !isCanonical(cpu, addHigh(low, high, bytes - 1, 0)))) segmentFault(segment);
    cpu.linearLow = low;
    cpu.linearHigh = high;
    return;
  }
  const first = offsetLow >>> 0;
  const low = registers.get32(segmentOffset(segment, write ? 'writeLow' : 'readLow')) >>> 0;
  const high = registers.get32(segmentOffset(segment, write ? 'writeHigh' : 'readHigh')) >>> 0;
  if (first < low || first + Math.max(bytes, 1) - 1 > high) segmentFault(segment);
  cpu.linearLow = (baseLowOf(registers, segment) + first) | 0;
  cpu.linearHigh = 0;
}

/** Segment base plus offset, with no check: what INVLPG and exits' linear addresses are. The answer is in `cpu.linearLow` and `cpu.linearHigh`. */
export function linearBase(cpu: Cpu, segment: number, offsetLow: number, offsetHigh: number): void {
  const { registers } = cpu;
  const hasBase = !cpu.is64Bit || segment === Segment.FS || segment === Segment.GS;
  const baseLow = hasBase ? baseLowOf(registers, segment) : 0;
  cpu.linearHigh = cpu.is64Bit ? addHigh(baseLow, hasBase ? baseHighOf(registers, segment) : 0, offsetLow, offsetHigh) : 0;
  cpu.linearLow = (baseLow + offsetLow) | 0;
}

function segmentFault(segment: number): never {
  raise(segment === Segment.SS ? Vector.SS : Vector.GP, 0);
}
