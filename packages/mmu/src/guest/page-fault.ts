/** Bits of a page-fault error code (SDM Vol. 3A 4.7 "Page-Fault Exceptions"). */
export const PageFaultError = {
  /** 0: an entry was not present; 1: a page-level protection violation. */
  P: 0x1,
  /** The access was a write. */
  W: 0x2,
  /** The access was a user-mode access. */
  U: 0x4,
  /** A reserved bit was 1 in an entry. */
  RSVD: 0x8,
  /** The access was an instruction fetch; reported only with CR4.SMEP, or CR4.PAE and IA32_EFER.NXE. */
  I: 0x10,
} as const;
