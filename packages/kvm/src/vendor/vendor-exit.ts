/** Why a guest exited, in terms that VT-x and AMD-V share. Which fields of `VendorExit` count is said beside each. */
export const VendorExitKind = {
  /** A physical interrupt of the host: the guest was to come out. */
  INTERRUPT: 0,
  /** Entry was refused by the hardware's checks: `hardwareReason`; see `VendorVcpu.explainEntry`. */
  ENTRY_FAILED: 1,
  /** IN, OUT, INS, OUTS: port, size, isInput, isString, isRep. */
  IO: 2,
  /** The second stage refused an access: gpa, access (`Access` flags of @minusone/mmu), onTable, linearLow, linearHigh (if linearValid). */
  SECOND_STAGE: 3,
  /** A second-stage entry that is malformed: gpa. */
  SECOND_STAGE_MISCONFIGURATION: 4,
  CPUID: 5,
  HLT: 6,
  RDMSR: 7,
  WRMSR: 8,
  /** MOV to or from CR, CLTS, LMSW, SMSW: register, isWrite. KVM runs the instruction by itself, or takes `gpr` where it is a plain MOV (else -1). */
  CONTROL_REGISTER: 9,
  DEBUG_REGISTER: 10,
  /** vector, errorCode, hasErrorCode; #PF: linearLow, linearHigh; #DB: debugBits (of DR6). */
  EXCEPTION: 11,
  INTERRUPT_WINDOW: 12,
  NMI_WINDOW: 13,
  NMI: 14,
  TRIPLE_FAULT: 15,
  /** VMCALL or VMMCALL. */
  HYPERCALL: 16,
  PAUSE: 17,
  MONITOR: 18,
  MWAIT: 19,
  XSETBV: 20,
  /** INVD, WBINVD: nothing to do here. */
  CACHE_CONTROL: 21,
  /** An instruction of the extension itself, which the guest is not offered: #UD. */
  EXTENSION_INSTRUCTION: 22,
  /** selector, taskSource, errorCode, hasErrorCode. */
  TASK_SWITCH: 23,
  /** CR8 went below the threshold. */
  TASK_PRIORITY: 24,
  RDTSC: 25,
  RDPMC: 26,
  INVLPG: 27,
  /** LGDT, SIDT, LLDT, STR ... */
  DESCRIPTOR_TABLE: 28,
  INIT: 29,
  SIPI: 30,
  RSM: 31,
  /** Anything else: `hardwareReason` names it, and KVM gives `internalError`. */
  OTHER: 32,
} as const;
export type VendorExitKind = (typeof VendorExitKind)[keyof typeof VendorExitKind];

/** One exit. The vendor module fills it in; only the fields that its kind names mean anything. */
export class VendorExit {
  kind: VendorExitKind = VendorExitKind.INTERRUPT;
  /** Basic exit reason (VT-x) or EXITCODE (AMD-V), and its name in the manual. */
  hardwareReason = 0;
  /** Bytes of the instruction; 0 where it is not known. */
  instructionLength = 0;

  port = 0;
  size: 1 | 2 | 4 = 1;
  isInput = false;
  isString = false;
  isRep = false;

  /** Guest-physical address, bytes. */
  gpa = 0;
  access = 0;
  /** The access was to a guest paging-structure entry. */
  onTable = false;
  linearValid = false;
  linearLow = 0;
  linearHigh = 0;

  vector = 0;
  errorCode = 0;
  hasErrorCode = false;
  debugBits = 0;

  register = 0;
  gpr = -1;
  isWrite = false;

  selector = 0;
  taskSource: 'call' | 'iret' | 'jmp' | 'gate' = 'call';
}
