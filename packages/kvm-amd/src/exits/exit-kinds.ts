import { SvmExit, type SvmExitName } from '@minusone/amdv';
import { VendorExitKind as Kind } from '@minusone/kvm';

/**
 * What each exit code (APM Vol. 2, Appendix C "SVM Intercept Exit Codes") is to KVM: of one code, or of a run of them. What has no row is `OTHER`.
 */
export const EXIT_KINDS: readonly (readonly [first: SvmExitName, last: SvmExitName, kind: Kind])[] = [
  ['CR0_READ', 'CR15_WRITE', Kind.CONTROL_REGISTER],
  ['DR0_READ', 'DR15_WRITE', Kind.DEBUG_REGISTER],
  ['EXCP0', 'EXCP31', Kind.EXCEPTION],
  ['INTR', 'INTR', Kind.INTERRUPT],
  ['NMI', 'NMI', Kind.NMI],
  ['INIT', 'INIT', Kind.INIT],
  ['VINTR', 'VINTR', Kind.INTERRUPT_WINDOW],
  ['CR0_SEL_WRITE', 'CR0_SEL_WRITE', Kind.CONTROL_REGISTER],
  ['IDTR_READ', 'TR_WRITE', Kind.DESCRIPTOR_TABLE],
  ['RDTSC', 'RDTSC', Kind.RDTSC],
  ['RDTSCP', 'RDTSCP', Kind.RDTSC],
  ['RDPMC', 'RDPMC', Kind.RDPMC],
  ['CPUID', 'CPUID', Kind.CPUID],
  ['RSM', 'RSM', Kind.RSM],
  ['INVD', 'INVD', Kind.CACHE_CONTROL],
  ['WBINVD', 'WBINVD', Kind.CACHE_CONTROL],
  ['PAUSE', 'PAUSE', Kind.PAUSE],
  ['HLT', 'HLT', Kind.HLT],
  ['INVLPG', 'INVLPG', Kind.INVLPG],
  ['INVLPGA', 'INVLPGA', Kind.EXTENSION_INSTRUCTION],
  ['IOIO', 'IOIO', Kind.IO],
  // EXITINFO1 makes it WRMSR.
  ['MSR', 'MSR', Kind.RDMSR],
  ['TASK_SWITCH', 'TASK_SWITCH', Kind.TASK_SWITCH],
  ['SHUTDOWN', 'SHUTDOWN', Kind.TRIPLE_FAULT],
  ['VMRUN', 'VMRUN', Kind.EXTENSION_INSTRUCTION],
  ['VMMCALL', 'VMMCALL', Kind.HYPERCALL],
  ['VMLOAD', 'SKINIT', Kind.EXTENSION_INSTRUCTION],
  ['MONITOR', 'MONITOR', Kind.MONITOR],
  ['MWAIT', 'MWAIT_CONDITIONAL', Kind.MWAIT],
  ['XSETBV', 'XSETBV', Kind.XSETBV],
  ['NPF', 'NPF', Kind.SECOND_STAGE],
  ['INVALID', 'INVALID', Kind.ENTRY_FAILED],
];

/** By exit code up to 400H. */
const kinds = new Uint8Array(SvmExit.NPF + 1).fill(Kind.OTHER);
for (const [first, last, kind] of EXIT_KINDS) if (SvmExit[first] >= 0) kinds.fill(kind, SvmExit[first], SvmExit[last] + 1);

/** @param code EXITCODE's low half, signed: -1 is VMEXIT_INVALID */
export function exitKind(code: number): Kind {
  if (code === SvmExit.INVALID) return Kind.ENTRY_FAILED;
  return code >= 0 && code <= SvmExit.NPF ? (kinds[code] as Kind) : Kind.OTHER;
}
