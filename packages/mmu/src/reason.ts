/** Why a translation failed. 0 is "it did not". Words and sections: `REASONS`. */
export const Reason = {
  NONE: 0,
  NOT_PRESENT: 1,
  RESERVED_BIT: 2,
  SUPERVISOR_ADDRESS: 3,
  READ_ONLY: 4,
  EXECUTE_DISABLE: 5,
  SMEP: 6,
  SMAP: 7,
  EPT_NOT_PRESENT: 8,
  EPT_NOT_READABLE: 9,
  EPT_NOT_WRITABLE: 10,
  EPT_NOT_EXECUTABLE: 11,
  EPT_WRITE_WITHOUT_READ: 12,
  EPT_EXECUTE_ONLY: 13,
  EPT_RESERVED_BIT: 14,
  EPT_MEMORY_TYPE: 15,
  EPT_ADDRESS_WIDTH: 16,
  EPT_PML_FULL: 17,
  NPT_ADDRESS_WIDTH: 18,
} as const;

/** A row of `REASONS`. */
export interface ReasonRow {
  readonly says: string;
  readonly section: string;
}

const RIGHTS = 'SDM Vol. 3A 4.6.1 "Determination of Access Rights"';
const FAULTS = 'SDM Vol. 3A 4.7 "Page-Fault Exceptions"';
const VIOLATIONS = 'SDM Vol. 3C 29.3.3.2 "EPT Violations"';
const MISCONFIGURATIONS = 'SDM Vol. 3C 29.3.3.1 "EPT Misconfigurations"';

/** In words, by `Reason`. */
export const REASONS: readonly ReasonRow[] = [
  { says: 'the access is allowed', section: RIGHTS },
  { says: 'the P flag of the entry is 0', section: FAULTS },
  { says: 'a reserved bit is set in the entry', section: FAULTS },
  { says: 'a user-mode access to a supervisor-mode address: U/S is 0 in an entry of the path', section: RIGHTS },
  { says: 'a write to a read-only address: R/W is 0 in an entry of the path', section: RIGHTS },
  { says: 'an instruction fetch from an execute-disable address: XD is 1 in an entry of the path', section: RIGHTS },
  { says: 'a supervisor-mode instruction fetch from a user-mode address, and CR4.SMEP is 1', section: RIGHTS },
  {
    says: 'a supervisor-mode data access to a user-mode address, CR4.SMAP is 1, and EFLAGS.AC is 0 or the access implicit',
    section: RIGHTS,
  },
  { says: 'the EPT entry is not present: it allows no access', section: VIOLATIONS },
  { says: 'a read, and an EPT entry of the path does not allow reads', section: VIOLATIONS },
  { says: 'a write, and an EPT entry of the path does not allow writes', section: VIOLATIONS },
  { says: 'an instruction fetch, and an EPT entry of the path does not allow it', section: VIOLATIONS },
  { says: 'the EPT entry allows writes but not reads', section: MISCONFIGURATIONS },
  { says: 'the EPT entry is execute-only, which the processor does not support', section: MISCONFIGURATIONS },
  { says: 'a reserved bit is set in the EPT entry', section: MISCONFIGURATIONS },
  { says: 'the EPT entry has a reserved memory type (2, 3 or 7)', section: MISCONFIGURATIONS },
  { says: 'the guest-physical address is wider than the EPT page-walk length allows', section: VIOLATIONS },
  { says: 'a D flag is to be set, and the page-modification log is full', section: 'SDM Vol. 3C 29.3.6 "Page-Modification Logging"' },
  { says: 'the guest-physical address is wider than the nested paging mode translates', section: 'APM Vol. 2 15.25.5 "Nested Table Walk"' },
];
