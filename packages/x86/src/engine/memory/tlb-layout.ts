/** Entries of a TLB set, and their layout: see `TlbField`. */
export const TLB_ENTRIES = 1024;
export const TLB_ENTRY_BYTES = 32;
/**
 * One entry of a direct-mapped set, found by bits 12-21 of the linear address. A tag is the linear address of the page as i64; no access has the tag 1, so that is
 * "none". An access of n bytes at `va` matches where `(va + n - 1) & ~0xFFF` is the tag, which rules out those that leave the page.
 */
export const TlbField = { readTag: 0, writeTag: 8, addend: 16, global: 20, hostPage: 24 } as const;
/** Entries of the jump cache that belongs to a set: by the low bits of RIP; RIP as i64, record as i32. */
export const JUMP_ENTRIES = 2048;
export const JUMP_ENTRY_BYTES = 16;
export const JumpField = { rip: 0, record: 8 } as const;
