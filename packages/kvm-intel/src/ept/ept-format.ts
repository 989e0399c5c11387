import type { EntryHalves, SecondStageFormat } from '@minusone/kvm';

/** Bits of an entry of EPT (SDM Vol. 3C, 29.3.2 "EPT Translation Mechanism"). Bits 5:3 are the memory type of a page. */
const Entry = { R: 0x1, W: 0x2, X: 0x4, WRITE_BACK: 6 << 3, PAGE: 0x80 } as const;
/** Bits 51:32 of an address, in the high half. */
const ADDRESS_HIGH = 0xf_ffff;

/** Extended page tables: all memory is write-back; an entry that allows nothing is not present. */
export const eptFormat: SecondStageFormat = {
  table: (hpa: number): EntryHalves => entry(hpa, Entry.R | Entry.W | Entry.X),
  leaf: (hpa: number, level: 1 | 2, writable: boolean, executable: boolean): EntryHalves =>
    entry(hpa, Entry.R | Entry.WRITE_BACK | (writable ? Entry.W : 0) | (executable ? Entry.X : 0) | (level === 2 ? Entry.PAGE : 0)),
  absent: { low: 0, high: 0 },
  isPresent: (low: number): boolean => (low & (Entry.R | Entry.W | Entry.X)) !== 0,
  isLeaf: (low: number, _high: number, level: number): boolean => level === 1 || (low & Entry.PAGE) !== 0,
  isWritable: (low: number): boolean => (low & Entry.W) !== 0,
  address: (low: number, high: number): number => ((low & ~0xfff) >>> 0) + (high & ADDRESS_HIGH) * 2 ** 32,
};

function entry(hpa: number, low: number): EntryHalves {
  return { low: ((hpa % 2 ** 32) | low) >>> 0, high: Math.floor(hpa / 2 ** 32) >>> 0 };
}

/** EPTP (SDM Vol. 3C, 25.6.11): write-back paging structures, a page walk of four levels. */
const EPTP_WRITE_BACK = 6;
const EPTP_FOUR_LEVELS = 3 << 3;

/**
 * The EPT pointer of tables at `root`. Accessed and dirty flags stay off (bit 6): KVM finds written pages by taking the right to write away, and with the flags every
 * guest page walk would count as a write to the guest's tables (SDM Vol. 3C, 29.3.5), which a table in a read-only slot does not bear.
 */
export function eptPointer(root: number): bigint {
  return BigInt(root) | BigInt(EPTP_WRITE_BACK | EPTP_FOUR_LEVELS);
}
