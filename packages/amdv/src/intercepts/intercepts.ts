import { SvmExit } from '../exit/codes.ts';
import type { VmcbFieldName } from '../vmcb/fields.ts';

/** One bit of the intercept vectors. */
export interface InterceptRow {
  readonly field: Extract<VmcbFieldName, `INTERCEPT_${string}`>;
  readonly bit: number;
  /** The exit code that it leads to. */
  readonly exit: number;
  /** What is intercepted. */
  readonly title: string;
  /** Section of APM Vol. 2. */
  readonly section: string;
}

/** Word, bit, exit, what is intercepted, section: intercept vectors 3, 4 and 5 (APM Vol. 2, Appendix B, Table B-1). Those of control and debug registers and of exceptions count by register or vector. */
const ROWS = {
  INTR: [3, 0, 'INTR', 'physical maskable interrupt', '15.13.1'],
  NMI: [3, 1, 'NMI', 'NMI', '15.13.2'],
  SMI: [3, 2, 'SMI', 'SMI', '15.13.3'],
  INIT: [3, 3, 'INIT', 'INIT', '15.13.4'],
  VINTR: [3, 4, 'VINTR', 'virtual maskable interrupt', '15.13.5'],
  CR0_SEL_WRITE: [3, 5, 'CR0_SEL_WRITE', 'writes of CR0 that change bits other than TS and MP', '15.9'],
  IDTR_READ: [3, 6, 'IDTR_READ', 'SIDT', '15.9'],
  GDTR_READ: [3, 7, 'GDTR_READ', 'SGDT', '15.9'],
  LDTR_READ: [3, 8, 'LDTR_READ', 'SLDT', '15.9'],
  TR_READ: [3, 9, 'TR_READ', 'STR', '15.9'],
  IDTR_WRITE: [3, 10, 'IDTR_WRITE', 'LIDT', '15.9'],
  GDTR_WRITE: [3, 11, 'GDTR_WRITE', 'LGDT', '15.9'],
  LDTR_WRITE: [3, 12, 'LDTR_WRITE', 'LLDT', '15.9'],
  TR_WRITE: [3, 13, 'TR_WRITE', 'LTR', '15.9'],
  RDTSC: [3, 14, 'RDTSC', 'RDTSC', '15.9'],
  RDPMC: [3, 15, 'RDPMC', 'RDPMC', '15.9'],
  PUSHF: [3, 16, 'PUSHF', 'PUSHF', '15.9'],
  POPF: [3, 17, 'POPF', 'POPF', '15.9'],
  CPUID: [3, 18, 'CPUID', 'CPUID', '15.9'],
  RSM: [3, 19, 'RSM', 'RSM', '15.9'],
  IRET: [3, 20, 'IRET', 'IRET', '15.9'],
  SWINT: [3, 21, 'SWINT', 'INT n', '15.9'],
  INVD: [3, 22, 'INVD', 'INVD', '15.9'],
  PAUSE: [3, 23, 'PAUSE', 'PAUSE', '15.14.4'],
  HLT: [3, 24, 'HLT', 'HLT', '15.9'],
  INVLPG: [3, 25, 'INVLPG', 'INVLPG', '15.9'],
  INVLPGA: [3, 26, 'INVLPGA', 'INVLPGA', '15.9'],
  IOIO_PROT: [3, 27, 'IOIO', 'ports that the I/O permissions map names', '15.10'],
  MSR_PROT: [3, 28, 'MSR', 'MSRs that the MSR permissions map names', '15.11'],
  TASK_SWITCH: [3, 29, 'TASK_SWITCH', 'task switches', '15.14.1'],
  FERR_FREEZE: [3, 30, 'FERR_FREEZE', 'freezing by legacy x87 error handling', '15.14.2'],
  SHUTDOWN: [3, 31, 'SHUTDOWN', 'shutdown', '15.14.3'],
  VMRUN: [4, 0, 'VMRUN', 'VMRUN; must be 1', '15.9'],
  VMMCALL: [4, 1, 'VMMCALL', 'VMMCALL', '15.9'],
  VMLOAD: [4, 2, 'VMLOAD', 'VMLOAD', '15.9'],
  VMSAVE: [4, 3, 'VMSAVE', 'VMSAVE', '15.9'],
  STGI: [4, 4, 'STGI', 'STGI', '15.9'],
  CLGI: [4, 5, 'CLGI', 'CLGI', '15.9'],
  SKINIT: [4, 6, 'SKINIT', 'SKINIT', '15.9'],
  RDTSCP: [4, 7, 'RDTSCP', 'RDTSCP', '15.9'],
  ICEBP: [4, 8, 'ICEBP', 'INT1', '15.9'],
  WBINVD: [4, 9, 'WBINVD', 'WBINVD', '15.9'],
  MONITOR: [4, 10, 'MONITOR', 'MONITOR', '15.9'],
  MWAIT: [4, 11, 'MWAIT', 'MWAIT', '15.9'],
  MWAIT_CONDITIONAL: [4, 12, 'MWAIT_CONDITIONAL', 'MWAIT while the monitor is armed', '15.9'],
  XSETBV: [4, 13, 'XSETBV', 'XSETBV', '15.9'],
  RDPRU: [4, 14, 'RDPRU', 'RDPRU', '15.9'],
  EFER_WRITE_TRAP: [4, 15, 'EFER_WRITE_TRAP', 'writes of EFER, when done', '15.9'],
  CR0_WRITE_TRAP: [4, 16, 'CR0_WRITE_TRAP', 'writes of CR0, when done', '15.9'],
  CR3_WRITE_TRAP: [4, 19, 'CR3_WRITE_TRAP', 'writes of CR3, when done', '15.9'],
  CR4_WRITE_TRAP: [4, 20, 'CR4_WRITE_TRAP', 'writes of CR4, when done', '15.9'],
  CR8_WRITE_TRAP: [4, 24, 'CR8_WRITE_TRAP', 'writes of CR8, when done', '15.9'],
  INVLPGB: [5, 0, 'INVLPGB', 'INVLPGB', '15.9'],
  INVLPGB_ILLEGAL: [5, 1, 'INVLPGB_ILLEGAL', 'INVLPGB with illegal operands', '15.9'],
  INVPCID: [5, 2, 'INVPCID', 'INVPCID', '15.9'],
  MCOMMIT: [5, 3, 'MCOMMIT', 'MCOMMIT', '15.9'],
  TLBSYNC: [5, 4, 'TLBSYNC', 'TLBSYNC', '15.9'],
  BUSLOCK: [5, 5, 'BUSLOCK', 'bus locks', '15.14.5'],
  IDLE_HLT: [5, 6, 'IDLE_HLT', 'HLT while no virtual interrupt is pending', '15.9'],
} as const;

export type InterceptName = keyof typeof ROWS;

/** The intercepts by name. */
export const INTERCEPTS: Readonly<Record<InterceptName, InterceptRow>> = Object.fromEntries(
  Object.entries(ROWS).map(([name, [word, bit, exit, title, section]]) => [
    name,
    { field: `INTERCEPT_${word}`, bit, exit: SvmExit[exit], title, section },
  ]),
) as Record<InterceptName, InterceptRow>;

/** The intercepts as masks of their words: `Intercept.CPUID` is bit 18 of INTERCEPT_3. */
export const Intercept: Readonly<Record<InterceptName, number>> = Object.fromEntries(
  Object.entries(INTERCEPTS).map(([name, { bit }]) => [name, 1 << bit]),
) as Record<InterceptName, number>;
