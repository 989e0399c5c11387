import { InvalidArgumentError } from '@minusone/core';

/** One part of an exit qualification: bits `low + width - 1`:`low`. */
export interface QualificationPart {
  readonly low: number;
  readonly width: number;
  /** In the words of the manual. */
  readonly title: string;
  /** What its values are called. */
  readonly values?: Readonly<Record<number, string>>;
}

/** The parts of an exit qualification by key. Bits that no part covers are 0, or undefined where the manual says so. */
export type QualificationLayout = Readonly<Record<string, QualificationPart>>;

/** SDM Vol. 3C, Table 28-3, "Exit Qualification for Control-Register Accesses" (28.2.1; chapter 27 in older editions). */
export const CONTROL_REGISTER_ACCESS_QUALIFICATION = {
  register: { low: 0, width: 4, title: 'Number of control register (0 for CLTS and LMSW)' },
  accessType: { low: 4, width: 2, title: 'Access type', values: { 0: 'MOV to CR', 1: 'MOV from CR', 2: 'CLTS', 3: 'LMSW' } },
  lmswMemoryOperand: { low: 6, width: 1, title: 'LMSW operand type', values: { 0: 'register', 1: 'memory' } },
  gpr: { low: 8, width: 4, title: 'For MOV CR, the general-purpose register' },
  lmswSource: { low: 16, width: 16, title: 'For LMSW, the LMSW source data' },
} as const;

/** SDM Vol. 3C, Table 28-4, "Exit Qualification for MOV DR". */
export const DEBUG_REGISTER_ACCESS_QUALIFICATION = {
  register: { low: 0, width: 3, title: 'Number of debug register' },
  direction: { low: 4, width: 1, title: 'Direction of access', values: { 0: 'MOV to DR', 1: 'MOV from DR' } },
  gpr: { low: 8, width: 4, title: 'General-purpose register' },
} as const;

/** SDM Vol. 3C, Table 28-5, "Exit Qualification for I/O Instructions". */
export const IO_INSTRUCTION_QUALIFICATION = {
  sizeLessOne: { low: 0, width: 3, title: 'Size of access', values: { 0: '1-byte', 1: '2-byte', 3: '4-byte' } },
  direction: { low: 3, width: 1, title: 'Direction of the attempted access', values: { 0: 'OUT', 1: 'IN' } },
  string: { low: 4, width: 1, title: 'String instruction' },
  rep: { low: 5, width: 1, title: 'REP prefixed' },
  immediate: { low: 6, width: 1, title: 'Operand encoding', values: { 0: 'DX', 1: 'immediate' } },
  port: { low: 16, width: 16, title: 'Port number' },
} as const;

/** SDM Vol. 3C, Table 28-2, "Exit Qualification for Task Switches". */
export const TASK_SWITCH_QUALIFICATION = {
  selector: { low: 0, width: 16, title: 'Selector of task-state segment (TSS) to which the guest attempted to switch' },
  source: {
    low: 30,
    width: 2,
    title: 'Source of task switch initiation',
    values: { 0: 'CALL instruction', 1: 'IRET instruction', 2: 'JMP instruction', 3: 'task gate in IDT' },
  },
} as const;

/** SDM Vol. 3C, Table 28-6, "Exit Qualification for APIC-Access VM Exits from Linear Accesses and Guest-Physical Accesses". */
export const APIC_ACCESS_QUALIFICATION = {
  offset: { low: 0, width: 12, title: 'Offset of access within the APIC page (linear accesses)' },
  accessType: {
    low: 12,
    width: 4,
    title: 'Access type',
    values: {
      0: 'linear access for a data read during instruction execution',
      1: 'linear access for a data write during instruction execution',
      2: 'linear access for an instruction fetch',
      3: 'linear access (read or write) during event delivery',
      10: 'guest-physical access during event delivery',
      15: 'guest-physical access for an instruction fetch or during instruction execution',
    },
  },
  asynchronous: { low: 16, width: 1, title: 'Asynchronous to instruction execution and not part of event delivery' },
} as const;

/** SDM Vol. 3C, Table 28-7, "Exit Qualification for EPT Violations". */
export const EPT_VIOLATION_QUALIFICATION = {
  read: { low: 0, width: 1, title: 'The access was a data read' },
  write: { low: 1, width: 1, title: 'The access was a data write' },
  fetch: { low: 2, width: 1, title: 'The access was an instruction fetch' },
  readable: { low: 3, width: 1, title: 'The guest-physical address was readable (the AND of bit 0 of all EPT entries used)' },
  writable: { low: 4, width: 1, title: 'The guest-physical address was writable (the AND of bit 1)' },
  executable: { low: 5, width: 1, title: 'The guest-physical address was executable (the AND of bit 2)' },
  userExecutable: {
    low: 6,
    width: 1,
    title: 'Executable for user-mode linear addresses (with mode-based execute control, the AND of bit 10)',
  },
  linearAddressValid: { low: 7, width: 1, title: 'The guest linear-address field is valid' },
  translated: { low: 8, width: 1, title: 'The access was to the translation of the linear address, not to a paging-structure entry' },
  userLinearAddress: { low: 9, width: 1, title: 'User-mode linear address (advanced VM-exit information)' },
  writableLinearAddress: { low: 10, width: 1, title: 'Read/write linear address (advanced VM-exit information)' },
  executeDisableLinearAddress: { low: 11, width: 1, title: 'Execute-disable linear address (advanced VM-exit information)' },
  nmiUnblockingDueToIret: { low: 12, width: 1, title: 'NMI unblocking due to IRET' },
  shadowStackAccess: { low: 13, width: 1, title: 'The access was a shadow-stack access' },
  supervisorShadowStack: { low: 14, width: 1, title: 'Supervisor shadow-stack page (bit 60 of the EPT entry)' },
  guestPagingVerification: { low: 15, width: 1, title: 'Caused by guest-paging verification' },
  asynchronous: { low: 16, width: 1, title: 'Asynchronous to instruction execution' },
} as const;

/** SDM Vol. 3C, Table 28-1, "Exit Qualification for Debug Exceptions": the bits are those of DR6. */
export const DEBUG_EXCEPTION_QUALIFICATION = {
  breakpoints: { low: 0, width: 4, title: 'B3 to B0' },
  busLock: { low: 11, width: 1, title: 'BLD: bus lock detected' },
  bd: { low: 13, width: 1, title: 'BD: debug register access detected' },
  bs: { low: 14, width: 1, title: 'BS: single instruction, or taken branch with IA32_DEBUGCTL.BTF' },
  rtm: { low: 16, width: 1, title: 'RTM: inside an RTM region' },
} as const;

/** SDM Vol. 3C, 28.2.1: start-up IPIs. */
export const START_UP_IPI_QUALIFICATION = { vector: { low: 0, width: 8, title: 'SIPI vector' } } as const;
/** SDM Vol. 3C, 28.2.1: MWAIT. */
export const MWAIT_QUALIFICATION = { monitorArmed: { low: 0, width: 1, title: 'Address-range monitoring hardware was armed' } } as const;

/** The layouts by the key that the rows of exit reasons use. */
export const EXIT_QUALIFICATIONS: Readonly<Record<string, QualificationLayout>> = {
  controlRegisterAccess: CONTROL_REGISTER_ACCESS_QUALIFICATION,
  debugRegisterAccess: DEBUG_REGISTER_ACCESS_QUALIFICATION,
  ioInstruction: IO_INSTRUCTION_QUALIFICATION,
  taskSwitch: TASK_SWITCH_QUALIFICATION,
  apicAccess: APIC_ACCESS_QUALIFICATION,
  eptViolation: EPT_VIOLATION_QUALIFICATION,
  debugException: DEBUG_EXCEPTION_QUALIFICATION,
  startUpIpi: START_UP_IPI_QUALIFICATION,
  mwait: MWAIT_QUALIFICATION,
};

/** The parts of a qualification as numbers. */
export type QualificationValues<Layout extends QualificationLayout> = { readonly [Key in keyof Layout]: number };

/**
 * Takes an exit qualification apart. Every layout here lies in bits 31:0.
 *
 * @example decodeQualification(IO_INSTRUCTION_QUALIFICATION, 0x00100000).port // 0x10
 */
export function decodeQualification<const Layout extends QualificationLayout>(
  layout: Layout,
  qualification: number,
): QualificationValues<Layout> {
  const parts = Object.entries(layout).map(([key, { low, width }]) => [key, (qualification >>> low) & (2 ** width - 1)] as const);
  return Object.fromEntries(parts) as QualificationValues<Layout>;
}

/**
 * Puts an exit qualification together, unsigned; parts that are left out are 0.
 *
 * @throws {InvalidArgumentError} if a value does not fit its part
 * @example encodeQualification(TASK_SWITCH_QUALIFICATION, { selector: 0x28, source: 2 }) // 0x80000028
 */
export function encodeQualification<const Layout extends QualificationLayout>(
  layout: Layout,
  values: Partial<QualificationValues<Layout>>,
): number {
  let qualification = 0;
  for (const [key, value] of Object.entries(values) as [string, number][]) {
    const part = layout[key];
    if (part === undefined || !Number.isInteger(value) || value < 0 || value >= 2 ** part.width) {
      throw new InvalidArgumentError(
        `The part ${key} of an exit qualification cannot be ${value}.`,
        part === undefined ? `The parts are ${Object.keys(layout).join(', ')}.` : `It has ${part.width} bits.`,
        { key, value },
      );
    }
    qualification |= value << part.low;
  }
  return qualification >>> 0;
}

/** An exit qualification in words, its parts that are not 0: `port 0x10, direction IN`. */
export function qualificationText(layout: QualificationLayout, qualification: number): string {
  return Object.entries(decodeQualification(layout, qualification))
    .map(([key, value]) => {
      const { values, width } = layout[key]!;
      if (values?.[value] !== undefined) return `${key} ${values[value]}`;
      if (value === 0) return '';
      return width === 1 ? key : `${key} 0x${value.toString(16)}`;
    })
    .filter((text) => text !== '')
    .join(', ');
}
