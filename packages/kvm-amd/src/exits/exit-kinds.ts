import { VendorExitKind as Kind } from '@minusone/kvm';

/**
 * What each exit code (APM Vol. 2, Appendix C "SVM Intercept Exit Codes") is to KVM. Families of sixteen (control and debug registers) and of thirty-two (exceptions)
 * have one row each; what has no row is `OTHER`.
 */
export const EXIT_KINDS: readonly (readonly [first: number, last: number, kind: Kind])[] = [
  [0x000, 0x01f, Kind.CONTROL_REGISTER],
  [0x020, 0x03f, Kind.DEBUG_REGISTER],
  [0x040, 0x05f, Kind.EXCEPTION],
  // INTR, NMI
  [0x060, 0x060, Kind.INTERRUPT],
  [0x061, 0x061, Kind.NMI],
  // INIT, VINTR, CR0_SEL_WRITE
  [0x063, 0x063, Kind.INIT],
  [0x064, 0x064, Kind.INTERRUPT_WINDOW],
  [0x065, 0x065, Kind.CONTROL_REGISTER],
  // IDTR_READ to TR_WRITE
  [0x066, 0x06d, Kind.DESCRIPTOR_TABLE],
  // RDTSC, RDPMC, CPUID, RSM, INVD, PAUSE, HLT, INVLPG, INVLPGA
  [0x06e, 0x06e, Kind.RDTSC],
  [0x06f, 0x06f, Kind.RDPMC],
  [0x072, 0x072, Kind.CPUID],
  [0x073, 0x073, Kind.RSM],
  [0x076, 0x076, Kind.CACHE_CONTROL],
  [0x077, 0x077, Kind.PAUSE],
  [0x078, 0x078, Kind.HLT],
  [0x079, 0x079, Kind.INVLPG],
  [0x07a, 0x07a, Kind.EXTENSION_INSTRUCTION],
  // IOIO, MSR (RDMSR; EXITINFO1 makes it WRMSR), TASK_SWITCH, SHUTDOWN
  [0x07b, 0x07b, Kind.IO],
  [0x07c, 0x07c, Kind.RDMSR],
  [0x07d, 0x07d, Kind.TASK_SWITCH],
  [0x07f, 0x07f, Kind.TRIPLE_FAULT],
  // VMRUN, VMMCALL, VMLOAD to SKINIT, RDTSCP, WBINVD, MONITOR, MWAIT, MWAIT_CONDITIONAL, XSETBV
  [0x080, 0x080, Kind.EXTENSION_INSTRUCTION],
  [0x081, 0x081, Kind.HYPERCALL],
  [0x082, 0x086, Kind.EXTENSION_INSTRUCTION],
  [0x087, 0x087, Kind.RDTSC],
  [0x089, 0x089, Kind.CACHE_CONTROL],
  [0x08a, 0x08a, Kind.MONITOR],
  [0x08b, 0x08c, Kind.MWAIT],
  [0x08d, 0x08d, Kind.XSETBV],
  // NPF
  [0x400, 0x400, Kind.SECOND_STAGE],
];

/** By exit code up to 400H. */
const kinds = new Uint8Array(0x401).fill(Kind.OTHER);
for (const [first, last, kind] of EXIT_KINDS) kinds.fill(kind, first, last + 1);

/** @param code EXITCODE's low half, signed: -1 is VMEXIT_INVALID */
export function exitKind(code: number): Kind {
  if (code === -1) return Kind.ENTRY_FAILED;
  return code >= 0 && code <= 0x400 ? (kinds[code] as Kind) : Kind.OTHER;
}
