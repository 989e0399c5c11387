import type { EntryHalves, SecondStageFormat } from '@minusone/kvm';

/** Bits of an entry of long-mode page tables (APM Vol. 2 5.4.1 "Page-Translation-Table Entry Fields"); NX is bit 63. */
const Entry = { P: 0x1, RW: 0x2, US: 0x4, A: 0x20, D: 0x40, PS: 0x80, NX_HIGH: -0x8000_0000 } as const;
/** Bits 51:32 of an address, in the high half. */
const ADDRESS_HIGH = 0xf_ffff;

/**
 * Nested page tables: ordinary long-mode tables in which every access of the guest is a user access (APM Vol. 2 15.25.5 "Nested Table Walk"), so that all of their entries
 * are user's. A and D are set beforehand, and nothing is written back by walks: who wants to know what was written takes the right to write away.
 */
export const nptFormat: SecondStageFormat = {
  table: (hpa: number): EntryHalves => entry(hpa, Entry.P | Entry.RW | Entry.US | Entry.A, 0),
  leaf: (hpa: number, level: 1 | 2, writable: boolean, executable: boolean): EntryHalves =>
    entry(
      hpa,
      Entry.P | Entry.US | Entry.A | (writable ? Entry.RW | Entry.D : 0) | (level === 2 ? Entry.PS : 0),
      executable ? 0 : Entry.NX_HIGH,
    ),
  absent: { low: 0, high: 0 },
  isPresent: (low: number): boolean => (low & Entry.P) !== 0,
  isLeaf: (low: number, _high: number, level: number): boolean => level === 1 || (low & Entry.PS) !== 0,
  isWritable: (low: number): boolean => (low & Entry.RW) !== 0,
  address: (low: number, high: number): number => ((low & ~0xfff) >>> 0) + (high & ADDRESS_HIGH) * 2 ** 32,
};

function entry(hpa: number, low: number, high: number): EntryHalves {
  return { low: ((hpa % 2 ** 32) | low) >>> 0, high: (Math.floor(hpa / 2 ** 32) | high) >>> 0 };
}
