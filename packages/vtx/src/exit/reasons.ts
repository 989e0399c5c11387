/** A basic exit reason: bits 15:0 of the exit reason (SDM Vol. 3D, Appendix C, "VMX Basic Exit Reasons"). */
export interface ExitReasonRow {
  /** In the words of the manual. */
  readonly title: string;
  /** What the exit qualification holds; 0 for the others. Keys of `EXIT_QUALIFICATIONS`, or a plain value in words. */
  readonly qualification?: string;
  /** VM_EXIT_INSTRUCTION_LEN is valid: the exit comes from executing an instruction (SDM Vol. 3C, 28.2.5). */
  readonly hasInstructionLength?: true;
}

/** The basic exit reasons 0 to 75 by number; 35, 38, 42 and 71 are reserved. */
export const VM_EXIT_REASONS = {
  0: {
    name: 'EXCEPTION_NMI',
    title: 'Exception or non-maskable interrupt (NMI)',
    qualification: 'linear address (#PF), debug exceptions (#DB)',
  },
  1: { name: 'EXTERNAL_INTERRUPT', title: 'External interrupt' },
  2: { name: 'TRIPLE_FAULT', title: 'Triple fault' },
  3: { name: 'INIT_SIGNAL', title: 'INIT signal' },
  4: { name: 'SIPI_SIGNAL', title: 'Start-up IPI (SIPI)', qualification: 'startUpIpi' },
  5: { name: 'IO_SMI', title: 'I/O system-management interrupt (SMI)' },
  6: { name: 'SMI', title: 'Other SMI' },
  7: { name: 'INTERRUPT_WINDOW', title: 'Interrupt window' },
  8: { name: 'NMI_WINDOW', title: 'NMI window' },
  9: { name: 'TASK_SWITCH', title: 'Task switch', qualification: 'taskSwitch', hasInstructionLength: true },
  10: { name: 'CPUID', title: 'CPUID', hasInstructionLength: true },
  11: { name: 'GETSEC', title: 'GETSEC', hasInstructionLength: true },
  12: { name: 'HLT', title: 'HLT', hasInstructionLength: true },
  13: { name: 'INVD', title: 'INVD', hasInstructionLength: true },
  14: { name: 'INVLPG', title: 'INVLPG', qualification: 'linear address', hasInstructionLength: true },
  15: { name: 'RDPMC', title: 'RDPMC', hasInstructionLength: true },
  16: { name: 'RDTSC', title: 'RDTSC', hasInstructionLength: true },
  17: { name: 'RSM', title: 'RSM', hasInstructionLength: true },
  18: { name: 'VMCALL', title: 'VMCALL', hasInstructionLength: true },
  19: { name: 'VMCLEAR', title: 'VMCLEAR', qualification: 'displacement', hasInstructionLength: true },
  20: { name: 'VMLAUNCH', title: 'VMLAUNCH', hasInstructionLength: true },
  21: { name: 'VMPTRLD', title: 'VMPTRLD', qualification: 'displacement', hasInstructionLength: true },
  22: { name: 'VMPTRST', title: 'VMPTRST', qualification: 'displacement', hasInstructionLength: true },
  23: { name: 'VMREAD', title: 'VMREAD', qualification: 'displacement', hasInstructionLength: true },
  24: { name: 'VMRESUME', title: 'VMRESUME', hasInstructionLength: true },
  25: { name: 'VMWRITE', title: 'VMWRITE', qualification: 'displacement', hasInstructionLength: true },
  26: { name: 'VMXOFF', title: 'VMXOFF', hasInstructionLength: true },
  27: { name: 'VMXON', title: 'VMXON', qualification: 'displacement', hasInstructionLength: true },
  28: { name: 'CR_ACCESS', title: 'Control-register accesses', qualification: 'controlRegisterAccess', hasInstructionLength: true },
  29: { name: 'DR_ACCESS', title: 'MOV DR', qualification: 'debugRegisterAccess', hasInstructionLength: true },
  30: { name: 'IO_INSTRUCTION', title: 'I/O instruction', qualification: 'ioInstruction', hasInstructionLength: true },
  31: { name: 'MSR_READ', title: 'RDMSR', hasInstructionLength: true },
  32: { name: 'MSR_WRITE', title: 'WRMSR', hasInstructionLength: true },
  33: { name: 'INVALID_STATE', title: 'VM-entry failure due to invalid guest state', qualification: '2, 3, 4: see the checks' },
  34: { name: 'MSR_LOAD_FAIL', title: 'VM-entry failure due to MSR loading', qualification: 'number of the entry' },
  36: { name: 'MWAIT_INSTRUCTION', title: 'MWAIT', qualification: 'mwait', hasInstructionLength: true },
  37: { name: 'MONITOR_TRAP_FLAG', title: 'Monitor trap flag' },
  39: { name: 'MONITOR_INSTRUCTION', title: 'MONITOR', hasInstructionLength: true },
  40: { name: 'PAUSE_INSTRUCTION', title: 'PAUSE', hasInstructionLength: true },
  41: { name: 'MCE_DURING_VMENTRY', title: 'VM-entry failure due to machine-check event' },
  43: { name: 'TPR_BELOW_THRESHOLD', title: 'TPR below threshold' },
  44: { name: 'APIC_ACCESS', title: 'APIC access', qualification: 'apicAccess' },
  45: { name: 'EOI_INDUCED', title: 'Virtualized EOI', qualification: 'vector' },
  46: { name: 'GDTR_IDTR', title: 'Access to GDTR or IDTR', qualification: 'displacement', hasInstructionLength: true },
  47: { name: 'LDTR_TR', title: 'Access to LDTR or TR', qualification: 'displacement', hasInstructionLength: true },
  48: { name: 'EPT_VIOLATION', title: 'EPT violation', qualification: 'eptViolation' },
  49: { name: 'EPT_MISCONFIG', title: 'EPT misconfiguration' },
  50: { name: 'INVEPT', title: 'INVEPT', qualification: 'displacement', hasInstructionLength: true },
  51: { name: 'RDTSCP', title: 'RDTSCP', hasInstructionLength: true },
  52: { name: 'PREEMPTION_TIMER', title: 'VMX-preemption timer expired' },
  53: { name: 'INVVPID', title: 'INVVPID', qualification: 'displacement', hasInstructionLength: true },
  54: { name: 'WBINVD', title: 'WBINVD or WBNOINVD', hasInstructionLength: true },
  55: { name: 'XSETBV', title: 'XSETBV', hasInstructionLength: true },
  56: { name: 'APIC_WRITE', title: 'APIC write', qualification: 'offset in the virtual-APIC page' },
  57: { name: 'RDRAND', title: 'RDRAND', hasInstructionLength: true },
  58: { name: 'INVPCID', title: 'INVPCID', qualification: 'displacement', hasInstructionLength: true },
  59: { name: 'VMFUNC', title: 'VMFUNC', hasInstructionLength: true },
  60: { name: 'ENCLS', title: 'ENCLS', hasInstructionLength: true },
  61: { name: 'RDSEED', title: 'RDSEED', hasInstructionLength: true },
  62: { name: 'PML_FULL', title: 'Page-modification log full', qualification: 'NMI unblocking due to IRET (bit 12)' },
  63: { name: 'XSAVES', title: 'XSAVES', qualification: 'displacement', hasInstructionLength: true },
  64: { name: 'XRSTORS', title: 'XRSTORS', qualification: 'displacement', hasInstructionLength: true },
  65: { name: 'PCONFIG', title: 'PCONFIG', hasInstructionLength: true },
  66: { name: 'SPP', title: 'SPP-related event', qualification: 'SPP miss or misconfiguration (bit 11)' },
  67: { name: 'UMWAIT', title: 'UMWAIT', hasInstructionLength: true },
  68: { name: 'TPAUSE', title: 'TPAUSE', hasInstructionLength: true },
  69: { name: 'LOADIWKEY', title: 'LOADIWKEY', hasInstructionLength: true },
  70: { name: 'ENCLV', title: 'ENCLV', hasInstructionLength: true },
  72: { name: 'ENQCMD_PASID', title: 'ENQCMD PASID translation failure', hasInstructionLength: true },
  73: { name: 'ENQCMDS_PASID', title: 'ENQCMDS PASID translation failure', hasInstructionLength: true },
  74: { name: 'BUS_LOCK', title: 'Bus lock' },
  75: { name: 'NOTIFY', title: 'Instruction timeout', qualification: 'VM context invalid (bit 0)' },
} as const;

/** A basic exit reason that is known here. */
export type BasicExitReason = keyof typeof VM_EXIT_REASONS;

/** The basic exit reasons by name: `ExitReason.HLT` is 12. */
export const ExitReason = {
  EXCEPTION_NMI: 0,
  EXTERNAL_INTERRUPT: 1,
  TRIPLE_FAULT: 2,
  INIT_SIGNAL: 3,
  SIPI_SIGNAL: 4,
  IO_SMI: 5,
  SMI: 6,
  INTERRUPT_WINDOW: 7,
  NMI_WINDOW: 8,
  TASK_SWITCH: 9,
  CPUID: 10,
  GETSEC: 11,
  HLT: 12,
  INVD: 13,
  INVLPG: 14,
  RDPMC: 15,
  RDTSC: 16,
  RSM: 17,
  VMCALL: 18,
  VMCLEAR: 19,
  VMLAUNCH: 20,
  VMPTRLD: 21,
  VMPTRST: 22,
  VMREAD: 23,
  VMRESUME: 24,
  VMWRITE: 25,
  VMXOFF: 26,
  VMXON: 27,
  CR_ACCESS: 28,
  DR_ACCESS: 29,
  IO_INSTRUCTION: 30,
  MSR_READ: 31,
  MSR_WRITE: 32,
  INVALID_STATE: 33,
  MSR_LOAD_FAIL: 34,
  MWAIT_INSTRUCTION: 36,
  MONITOR_TRAP_FLAG: 37,
  MONITOR_INSTRUCTION: 39,
  PAUSE_INSTRUCTION: 40,
  MCE_DURING_VMENTRY: 41,
  TPR_BELOW_THRESHOLD: 43,
  APIC_ACCESS: 44,
  EOI_INDUCED: 45,
  GDTR_IDTR: 46,
  LDTR_TR: 47,
  EPT_VIOLATION: 48,
  EPT_MISCONFIG: 49,
  INVEPT: 50,
  RDTSCP: 51,
  PREEMPTION_TIMER: 52,
  INVVPID: 53,
  WBINVD: 54,
  XSETBV: 55,
  APIC_WRITE: 56,
  RDRAND: 57,
  INVPCID: 58,
  VMFUNC: 59,
  ENCLS: 60,
  RDSEED: 61,
  PML_FULL: 62,
  XSAVES: 63,
  XRSTORS: 64,
  PCONFIG: 65,
  SPP: 66,
  UMWAIT: 67,
  TPAUSE: 68,
  LOADIWKEY: 69,
  ENCLV: 70,
  ENQCMD_PASID: 72,
  ENQCMDS_PASID: 73,
  BUS_LOCK: 74,
  NOTIFY: 75,
} as const;

/** The name of a basic exit reason. */
export type ExitReasonName = keyof typeof ExitReason;

/** Bits of the exit reason besides the basic one (SDM Vol. 3C, 25.9.1, "Format of Exit Reason"). */
export const ExitReasonBit = {
  ENCLAVE_MODE: 0x0800_0000,
  PENDING_MTF: 0x1000_0000,
  FROM_VMX_ROOT: 0x2000_0000,
  ENTRY_FAILURE: 0x8000_0000,
} as const;

/** The row of a basic exit reason; undefined for a reserved one. */
export function exitReasonRow(basic: number): (ExitReasonRow & { readonly name: ExitReasonName }) | undefined {
  return (VM_EXIT_REASONS as Record<number, ExitReasonRow & { readonly name: ExitReasonName }>)[basic];
}

/**
 * An exit reason in words: its name, and that it is a VM-entry failure where bit 31 says so.
 *
 * @param exitReason the field VM_EXIT_REASON, 32 bits
 * @example exitReasonText(0x80000021) // 'INVALID_STATE (VM-entry failure)'
 */
export function exitReasonText(exitReason: number): string {
  const basic = exitReason & 0xffff;
  const name = exitReasonRow(basic)?.name ?? `reserved ${basic}`;
  return (exitReason | 0) < 0 ? `${name} (VM-entry failure)` : name;
}
