/** Where the structures of VMX lie: above 2 MiB, out of the way of the guests' own tables. Everything is a page of its own, unless told. */
export const VtxMemory = {
  vmxonRegion: 0x200000,
  vmcs: 0x201000,
  otherVmcs: 0x202000,
  ioBitmapA: 0x203000,
  ioBitmapB: 0x204000,
  msrBitmap: 0x205000,
  virtualApic: 0x206000,
  apicAccess: 0x207000,
  /** MSR areas, 16 bytes an entry. */
  exitMsrStore: 0x208000,
  exitMsrLoad: 0x208400,
  entryMsrLoad: 0x208800,
  /** EPT: identity mappings of 4 GiB; four directories, a table for the first 2 MiB. */
  eptPml4: 0x210000,
  eptPdpt: 0x211000,
  eptDirectories: 0x212000,
  eptTable: 0x216000,
  /** Memory that a ROM may use for what else it needs. */
  free: 0x220000,
  freeEnd: 0x240000,
} as const;

/** Write-back EPT paging structures, four levels. */
export const EPTP = VtxMemory.eptPml4 | 0x1e;

/** A guest's stack. */
export const GUEST_STACK = 0xd000;
