/** APM Vol. 2, Appendix C, Table C-1 "SVM Intercept Codes". EXITINFO1 and EXITINFO2 in words; where nothing is said they are 0. */
export interface ExitCodeRow {
  readonly code: number;
  readonly info1?: string;
  readonly info2?: string;
}

type Numbers = '0' | '1' | '2' | '3' | '4' | '5' | '6' | '7' | '8' | '9' | '10' | '11' | '12' | '13' | '14' | '15';
type Vectors = Numbers | '16' | '17' | '18' | '19' | '20' | '21' | '22' | '23' | '24' | '25' | '26' | '27' | '28' | '29' | '30' | '31';

const CR_INFO = 'bit 63: MOV CR; bits 3:0: its general register (decode assists)';
const DR_INFO = 'bits 3:0: the general register (decode assists)';

const SINGLE = {
  INTR: { code: 0x60 },
  NMI: { code: 0x61 },
  SMI: { code: 0x62, info1: 'source of the SMI' },
  INIT: { code: 0x63 },
  VINTR: { code: 0x64 },
  CR0_SEL_WRITE: { code: 0x65, info1: 'as of CR0_WRITE' },
  IDTR_READ: { code: 0x66 },
  GDTR_READ: { code: 0x67 },
  LDTR_READ: { code: 0x68 },
  TR_READ: { code: 0x69 },
  IDTR_WRITE: { code: 0x6a },
  GDTR_WRITE: { code: 0x6b },
  LDTR_WRITE: { code: 0x6c },
  TR_WRITE: { code: 0x6d },
  RDTSC: { code: 0x6e },
  RDPMC: { code: 0x6f },
  PUSHF: { code: 0x70 },
  POPF: { code: 0x71 },
  CPUID: { code: 0x72 },
  RSM: { code: 0x73 },
  IRET: { code: 0x74 },
  SWINT: { code: 0x75, info1: 'bits 7:0: the vector (decode assists)' },
  INVD: { code: 0x76 },
  PAUSE: { code: 0x77 },
  HLT: { code: 0x78 },
  INVLPG: { code: 0x79, info1: 'the linear address (decode assists)' },
  INVLPGA: { code: 0x7a },
  IOIO: {
    code: 0x7b,
    info1: 'bit 0: IN; 2: string; 3: REP; 4, 5, 6: 1, 2, 4 bytes; 7, 8, 9: address of 16, 32, 64 bits; 12:10: segment; 31:16: port',
    info2: 'address of the next instruction',
  },
  MSR: { code: 0x7c, info1: '0: RDMSR, 1: WRMSR' },
  TASK_SWITCH: {
    code: 0x7d,
    info1: 'bits 15:0: selector of the TSS',
    info2: 'bits 31:0: error code; 36: by IRET; 38: by a far jump; 44: has an error code; 48: RFLAGS.RF for the old TSS',
  },
  FERR_FREEZE: { code: 0x7e },
  SHUTDOWN: { code: 0x7f },
  VMRUN: { code: 0x80 },
  VMMCALL: { code: 0x81 },
  VMLOAD: { code: 0x82 },
  VMSAVE: { code: 0x83 },
  STGI: { code: 0x84 },
  CLGI: { code: 0x85 },
  SKINIT: { code: 0x86 },
  RDTSCP: { code: 0x87 },
  ICEBP: { code: 0x88 },
  WBINVD: { code: 0x89 },
  MONITOR: { code: 0x8a },
  MWAIT: { code: 0x8b },
  MWAIT_CONDITIONAL: { code: 0x8c },
  XSETBV: { code: 0x8d },
  RDPRU: { code: 0x8e },
  EFER_WRITE_TRAP: { code: 0x8f, info1: 'the new value' },
  INVLPGB: { code: 0xa0 },
  INVLPGB_ILLEGAL: { code: 0xa1 },
  INVPCID: { code: 0xa2 },
  MCOMMIT: { code: 0xa3 },
  TLBSYNC: { code: 0xa4 },
  BUSLOCK: { code: 0xa5 },
  IDLE_HLT: { code: 0xa6 },
  NPF: {
    code: 0x400,
    info1: 'error code: bits 4:0 as of #PF; 32: on the final address; 33: on a guest table',
    info2: 'guest-physical address',
  },
  AVIC_INCOMPLETE_IPI: { code: 0x401 },
  AVIC_NOACCEL: { code: 0x402 },
  VMGEXIT: { code: 0x403 },
  INVALID: { code: -1 },
  BUSY: { code: -2 },
  IDLE_REQUIRED: { code: -3 },
} as const;

/** A name without the prefix VMEXIT_. */
export type SvmExitName =
  | keyof typeof SINGLE
  | `CR${Numbers}_${'READ' | 'WRITE' | 'WRITE_TRAP'}`
  | `DR${Numbers}_${'READ' | 'WRITE'}`
  | `EXCP${Vectors}`;

const run = (count: number, name: (i: number) => string, row: (i: number) => ExitCodeRow): Record<string, ExitCodeRow> =>
  Object.fromEntries(Array.from({ length: count }, (_, i) => [name(i), row(i)]));
const exceptionRow = (i: number): ExitCodeRow =>
  i === 14
    ? { code: 0x4e, info1: 'error code', info2: 'the linear address that faulted' }
    : { code: 0x40 + i, info1: 'error code, where the exception has one' };

/** All exit codes by name, in the order of the codes. */
export const SVM_EXIT_CODES: Readonly<Record<SvmExitName, ExitCodeRow>> = Object.fromEntries(
  Object.entries({
    ...run(
      16,
      (i) => `CR${i}_READ`,
      (i) => ({ code: i, info1: CR_INFO }),
    ),
    ...run(
      16,
      (i) => `CR${i}_WRITE`,
      (i) => ({ code: 0x10 + i, info1: CR_INFO }),
    ),
    ...run(
      16,
      (i) => `DR${i}_READ`,
      (i) => ({ code: 0x20 + i, info1: DR_INFO }),
    ),
    ...run(
      16,
      (i) => `DR${i}_WRITE`,
      (i) => ({ code: 0x30 + i, info1: DR_INFO }),
    ),
    ...run(32, (i) => `EXCP${i}`, exceptionRow),
    ...run(
      16,
      (i) => `CR${i}_WRITE_TRAP`,
      (i) => ({ code: 0x90 + i, info1: 'the new value' }),
    ),
    ...SINGLE,
  } as Record<string, ExitCodeRow>).sort(([, a], [, b]) => (a.code >>> 0) - (b.code >>> 0)),
) as Record<SvmExitName, ExitCodeRow>;

/** Exit codes by name: `SvmExit.CPUID` is 0x72. */
export const SvmExit: Readonly<Record<SvmExitName, number>> = Object.fromEntries(
  Object.entries(SVM_EXIT_CODES).map(([name, { code }]) => [name, code]),
) as Record<SvmExitName, number>;

const names: ReadonlyMap<number, SvmExitName> = new Map(
  (Object.keys(SVM_EXIT_CODES) as SvmExitName[]).map((name) => [SvmExit[name], name]),
);

/** The name of an exit code (bits 31:0, signed or unsigned); undefined where there is none. */
export function svmExitName(code: number): SvmExitName | undefined {
  return names.get(code | 0);
}
