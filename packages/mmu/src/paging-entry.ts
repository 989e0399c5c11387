/** What all 8-byte paging-structure entries share, EPT's too. */

/** The table or page address in an 8-byte entry, bits 51:12, in bytes. */
export function entryAddress(lo: number, hi: number): number {
  return (hi & 0xf_ffff) * 2 ** 32 + ((lo & 0xffff_f000) >>> 0);
}

/** The address that a page at `level` (1: 4 KBytes, 2: 2 MBytes, 3: 1 GByte) translates `addressLo` to. */
export function pageAddress(lo: number, hi: number, offsetMask: number, addressLo: number): number {
  return (hi & 0xf_ffff) * 2 ** 32 + (((lo & ~offsetMask) | (addressLo & offsetMask)) >>> 0);
}

/** Bytes of a page mapped at `level`, less 1. */
export function offsetMaskOf(level: number): number {
  return level === 1 ? 0xfff : level === 2 ? 0x1f_ffff : 0x3fff_ffff;
}

/** Index of the entry of an address (bits 31:0, bits 63:32) in a table of 512 at `level`. */
export function tableIndex(level: number, addressLo: number, addressHi: number): number {
  switch (level) {
    case 1:
      return (addressLo >>> 12) & 511;
    case 2:
      return (addressLo >>> 21) & 511;
    case 3:
      return ((addressLo >>> 30) | (addressHi << 2)) & 511;
    case 4:
      return (addressHi >>> 7) & 511;
    default:
      return (addressHi >>> 16) & 511;
  }
}
