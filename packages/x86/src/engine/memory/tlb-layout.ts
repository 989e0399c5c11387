/**
 * The layout of a set of the TLB: direct-mapped entries for reading, as many for writing, then the jump cache. Reading and writing are apart so that a copy between two
 * pages that share an index does not make them drive each other out.
 *
 * One entry is found by the low bits of the page number. Its tag is the linear address of the page as i64; no access has the tag 1, so that is "none". An access of n bytes
 * at `va` matches where `(va + n - 1) & ~0xFFF` is the tag, which rules out those that leave the page.
 */
export const TLB_ENTRIES = 2048;
export const TLB_ENTRY_BYTES = 16;
/** The tag as i64; what to add to the low half of a linear address to get the address in linear memory; the page's place there. */
export const TlbField = { tag: 0, addend: 8, hostPage: 12 } as const;
/** Where in a set the entries for reading and for writing begin. */
export const TlbPart: { readonly read: number; readonly write: number } = { read: 0, write: TLB_ENTRIES * TLB_ENTRY_BYTES };
/** Bits 12 and up of an address, shifted to the offset of an entry: `(va >> TLB_SHIFT) & TLB_MASK`. */
export const TLB_SHIFT = 8;
export const TLB_MASK: number = (TLB_ENTRIES - 1) * TLB_ENTRY_BYTES;

/** Entries of the jump cache that belongs to a set; RIP as i64, record as i32. See `jumpIndex`. */
export const JUMP_ENTRIES = 4096;
export const JUMP_ENTRY_BYTES = 16;
export const JumpField = { rip: 0, record: 8 } as const;
/** An entry's index is `(RIP ^ (RIP >> JUMP_FOLD)) & (JUMP_ENTRIES - 1)`: functions begin at round addresses, so that the low bits alone would not spread them. */
export const JUMP_FOLD = 11;

/** Index of the jump cache's entry for an address, by its low half. */
export function jumpIndex(low: number): number {
  return (low ^ (low >>> JUMP_FOLD)) & (JUMP_ENTRIES - 1);
}
