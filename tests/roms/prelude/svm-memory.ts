/** Where the structures of SVM lie: above 2 MiB, out of the way of the guests' own tables. Everything is a page of its own, unless told. */
export const SvmMemory = {
  vmcb: 0x200000,
  /** Another one, for what a ROM does with it. */
  otherVmcb: 0x201000,
  /** VMSAVE of the host's own state. */
  hostVmcb: 0x202000,
  hostSave: 0x203000,
  /** The VMCB as it was at the last entry. */
  snapshot: 0x204000,
  /** Three pages. */
  ioPermissions: 0x205000,
  /** Two pages. */
  msrPermissions: 0x208000,
  /** Nested paging: identity mappings of 4 GiB; four directories, a table for the first 2 MiB. */
  nestedPml4: 0x210000,
  nestedPdpt: 0x211000,
  nestedDirectories: 0x212000,
  nestedTable: 0x216000,
  /** Memory that a ROM may use for what else it needs. */
  free: 0x220000,
  freeEnd: 0x240000,
} as const;

/** A guest's stack. */
export const SVM_GUEST_STACK = 0xd000;
