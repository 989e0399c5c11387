/**
 * What an access is, as bit flags in a small integer: the kind (one or more of READ, WRITE, EXECUTE), who makes it, and
 * how it is made. A read-modify-write is READ | WRITE.
 *
 * Without USER the access is a supervisor-mode access (SDM Vol. 3A 4.6.1 "Determination of Access Rights").
 */
export const Access = {
  /** A data read. */
  READ: 0x1,
  /** A data write. */
  WRITE: 0x2,
  /** An instruction fetch. */
  EXECUTE: 0x4,
  /** A user-mode access: made with CPL = 3, and not implicit. */
  USER: 0x8,
  /** An implicit supervisor-mode access (GDT, LDT, IDT, TSS): SMAP holds whatever EFLAGS.AC says, and USER has no effect. */
  IMPLICIT: 0x10,
  /** EFLAGS.AC is 1: SMAP lets explicit supervisor-mode data accesses pass. */
  AC: 0x20,
  /** Only look: no A or D flag is set, at either stage, but everything is checked as ever, the right to set them too. For `translate()`. */
  INSPECT: 0x40,

  // What a walk tells its second stage about a guest-physical access.

  /** To a guest paging-structure entry, not to the translation of the linear address. */
  TABLE: 0x80,
  /** Comes from no linear address: MOV to CR3 that loads PDPTEs, for example. */
  NO_LINEAR: 0x100,
  /** The linear address is a user-mode address: U/S is 1 in every entry. Set where paging is off. */
  LINEAR_USER: 0x200,
  /** The linear address is read/write: R/W is 1 in every entry. Set where paging is off. */
  LINEAR_WRITABLE: 0x400,
  /** The linear address is execute-disable: XD is 1 in some entry. */
  LINEAR_XD: 0x800,
} as const;

/** READ | WRITE | EXECUTE. */
export const ACCESS_KINDS = 7;
