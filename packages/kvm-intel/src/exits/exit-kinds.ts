import { VendorExitKind as Kind } from '@minusone/kvm';
import { ExitReason, type ExitReasonName } from '@minusone/vtx';

/** What each basic exit reason (SDM Vol. 3D, Appendix C "VMX Basic Exit Reasons") is to KVM. What has no row is `OTHER`. */
export const EXIT_KINDS: readonly (readonly [reason: ExitReasonName, kind: Kind])[] = [
  // An NMI's own exit makes it NMI.
  ['EXCEPTION_NMI', Kind.EXCEPTION],
  ['EXTERNAL_INTERRUPT', Kind.INTERRUPT],
  ['TRIPLE_FAULT', Kind.TRIPLE_FAULT],
  ['INIT_SIGNAL', Kind.INIT],
  ['SIPI_SIGNAL', Kind.SIPI],
  ['INTERRUPT_WINDOW', Kind.INTERRUPT_WINDOW],
  ['NMI_WINDOW', Kind.NMI_WINDOW],
  ['TASK_SWITCH', Kind.TASK_SWITCH],
  ['CPUID', Kind.CPUID],
  ['GETSEC', Kind.EXTENSION_INSTRUCTION],
  ['HLT', Kind.HLT],
  ['INVD', Kind.CACHE_CONTROL],
  ['INVLPG', Kind.INVLPG],
  ['RDPMC', Kind.RDPMC],
  ['RDTSC', Kind.RDTSC],
  ['RSM', Kind.RSM],
  ['VMCALL', Kind.HYPERCALL],
  ['VMCLEAR', Kind.EXTENSION_INSTRUCTION],
  ['VMLAUNCH', Kind.EXTENSION_INSTRUCTION],
  ['VMPTRLD', Kind.EXTENSION_INSTRUCTION],
  ['VMPTRST', Kind.EXTENSION_INSTRUCTION],
  ['VMREAD', Kind.EXTENSION_INSTRUCTION],
  ['VMRESUME', Kind.EXTENSION_INSTRUCTION],
  ['VMWRITE', Kind.EXTENSION_INSTRUCTION],
  ['VMXOFF', Kind.EXTENSION_INSTRUCTION],
  ['VMXON', Kind.EXTENSION_INSTRUCTION],
  ['CR_ACCESS', Kind.CONTROL_REGISTER],
  ['DR_ACCESS', Kind.DEBUG_REGISTER],
  ['IO_INSTRUCTION', Kind.IO],
  ['MSR_READ', Kind.RDMSR],
  ['MSR_WRITE', Kind.WRMSR],
  ['INVALID_STATE', Kind.ENTRY_FAILED],
  ['MSR_LOAD_FAIL', Kind.ENTRY_FAILED],
  ['MWAIT_INSTRUCTION', Kind.MWAIT],
  // It stands in for the NMI window under the shadow of an STI (`NmiMask`).
  ['MONITOR_TRAP_FLAG', Kind.NMI_WINDOW],
  ['MONITOR_INSTRUCTION', Kind.MONITOR],
  ['PAUSE_INSTRUCTION', Kind.PAUSE],
  ['TPR_BELOW_THRESHOLD', Kind.TASK_PRIORITY],
  ['GDTR_IDTR', Kind.DESCRIPTOR_TABLE],
  ['LDTR_TR', Kind.DESCRIPTOR_TABLE],
  ['EPT_VIOLATION', Kind.SECOND_STAGE],
  ['EPT_MISCONFIG', Kind.SECOND_STAGE_MISCONFIGURATION],
  ['INVEPT', Kind.EXTENSION_INSTRUCTION],
  ['INVVPID', Kind.EXTENSION_INSTRUCTION],
  ['WBINVD', Kind.CACHE_CONTROL],
  ['XSETBV', Kind.XSETBV],
  ['VMFUNC', Kind.EXTENSION_INSTRUCTION],
];

/** By basic exit reason. */
const kinds = new Uint8Array(128).fill(Kind.OTHER);
for (const [reason, kind] of EXIT_KINDS) kinds[ExitReason[reason]] = kind;

/** @param basic bits 15:0 of the exit reason */
export function exitKind(basic: number): Kind {
  return basic < kinds.length ? (kinds[basic] as Kind) : Kind.OTHER;
}
