// The bits of the control words, under the manual's names. Bits that are not here are reserved, or belong to what no table of ours knows.

/** Pin-based VM-execution controls (SDM Vol. 3C, 25.6.1). */
export const PIN_BASED_CONTROLS = {
  externalInterruptExiting: { bit: 0, name: 'External-interrupt exiting' },
  nmiExiting: { bit: 3, name: 'NMI exiting' },
  virtualNmis: { bit: 5, name: 'Virtual NMIs' },
  activateVmxPreemptionTimer: { bit: 6, name: 'Activate VMX-preemption timer' },
  processPostedInterrupts: { bit: 7, name: 'Process posted interrupts' },
} as const;

/** Primary processor-based VM-execution controls (SDM Vol. 3C, 25.6.2). */
export const PRIMARY_CONTROLS = {
  interruptWindowExiting: { bit: 2, name: 'Interrupt-window exiting' },
  useTscOffsetting: { bit: 3, name: 'Use TSC offsetting' },
  hltExiting: { bit: 7, name: 'HLT exiting' },
  invlpgExiting: { bit: 9, name: 'INVLPG exiting' },
  mwaitExiting: { bit: 10, name: 'MWAIT exiting' },
  rdpmcExiting: { bit: 11, name: 'RDPMC exiting' },
  rdtscExiting: { bit: 12, name: 'RDTSC exiting' },
  cr3LoadExiting: { bit: 15, name: 'CR3-load exiting' },
  cr3StoreExiting: { bit: 16, name: 'CR3-store exiting' },
  activateTertiaryControls: { bit: 17, name: 'Activate tertiary controls' },
  cr8LoadExiting: { bit: 19, name: 'CR8-load exiting' },
  cr8StoreExiting: { bit: 20, name: 'CR8-store exiting' },
  useTprShadow: { bit: 21, name: 'Use TPR shadow' },
  nmiWindowExiting: { bit: 22, name: 'NMI-window exiting' },
  movDrExiting: { bit: 23, name: 'MOV-DR exiting' },
  unconditionalIoExiting: { bit: 24, name: 'Unconditional I/O exiting' },
  useIoBitmaps: { bit: 25, name: 'Use I/O bitmaps' },
  monitorTrapFlag: { bit: 27, name: 'Monitor trap flag' },
  useMsrBitmaps: { bit: 28, name: 'Use MSR bitmaps' },
  monitorExiting: { bit: 29, name: 'MONITOR exiting' },
  pauseExiting: { bit: 30, name: 'PAUSE exiting' },
  activateSecondaryControls: { bit: 31, name: 'Activate secondary controls' },
} as const;

/** Secondary processor-based VM-execution controls (SDM Vol. 3C, 25.6.2). */
export const SECONDARY_CONTROLS = {
  virtualizeApicAccesses: { bit: 0, name: 'Virtualize APIC accesses' },
  enableEpt: { bit: 1, name: 'Enable EPT' },
  descriptorTableExiting: { bit: 2, name: 'Descriptor-table exiting' },
  enableRdtscp: { bit: 3, name: 'Enable RDTSCP' },
  virtualizeX2apicMode: { bit: 4, name: 'Virtualize x2APIC mode' },
  enableVpid: { bit: 5, name: 'Enable VPID' },
  wbinvdExiting: { bit: 6, name: 'WBINVD exiting' },
  unrestrictedGuest: { bit: 7, name: 'Unrestricted guest' },
  apicRegisterVirtualization: { bit: 8, name: 'APIC-register virtualization' },
  virtualInterruptDelivery: { bit: 9, name: 'Virtual-interrupt delivery' },
  pauseLoopExiting: { bit: 10, name: 'PAUSE-loop exiting' },
  rdrandExiting: { bit: 11, name: 'RDRAND exiting' },
  enableInvpcid: { bit: 12, name: 'Enable INVPCID' },
  enableVmFunctions: { bit: 13, name: 'Enable VM functions' },
  vmcsShadowing: { bit: 14, name: 'VMCS shadowing' },
  enableEnclsExiting: { bit: 15, name: 'Enable ENCLS exiting' },
  rdseedExiting: { bit: 16, name: 'RDSEED exiting' },
  enablePml: { bit: 17, name: 'Enable PML' },
  eptViolationVe: { bit: 18, name: 'EPT-violation #VE' },
  concealVmxFromPt: { bit: 19, name: 'Conceal VMX from PT' },
  enableXsavesXrstors: { bit: 20, name: 'Enable XSAVES/XRSTORS' },
  modeBasedExecuteControlForEpt: { bit: 22, name: 'Mode-based execute control for EPT' },
  subPageWritePermissionsForEpt: { bit: 23, name: 'Sub-page write permissions for EPT' },
  intelPtUsesGuestPhysicalAddresses: { bit: 24, name: 'Intel PT uses guest physical addresses' },
  useTscScaling: { bit: 25, name: 'Use TSC scaling' },
  enableUserWaitAndPause: { bit: 26, name: 'Enable user wait and pause' },
  enablePconfig: { bit: 27, name: 'Enable PCONFIG' },
  enableEnclvExiting: { bit: 28, name: 'Enable ENCLV exiting' },
  vmmBusLockDetection: { bit: 30, name: 'VMM bus-lock detection' },
  instructionTimeout: { bit: 31, name: 'Instruction timeout' },
} as const;

/** Tertiary processor-based VM-execution controls (SDM Vol. 3C, 25.6.2). */
export const TERTIARY_CONTROLS = {
  loadiwkeyExiting: { bit: 0, name: 'LOADIWKEY exiting' },
  enableHlat: { bit: 1, name: 'Enable HLAT' },
  eptPagingWriteControl: { bit: 2, name: 'EPT paging-write control' },
  guestPagingVerification: { bit: 3, name: 'Guest-paging verification' },
  ipiVirtualization: { bit: 4, name: 'IPI virtualization' },
} as const;

/** VM-function controls (SDM Vol. 3C, 25.6.14). */
export const VM_FUNCTIONS = {
  eptpSwitching: { bit: 0, name: 'EPTP switching' },
} as const;

/** Primary VM-exit controls (SDM Vol. 3C, 25.7.1). */
export const EXIT_CONTROLS = {
  saveDebugControls: { bit: 2, name: 'Save debug controls' },
  hostAddressSpaceSize: { bit: 9, name: 'Host address-space size' },
  loadIa32PerfGlobalCtrl: { bit: 12, name: 'Load IA32_PERF_GLOBAL_CTRL' },
  acknowledgeInterruptOnExit: { bit: 15, name: 'Acknowledge interrupt on exit' },
  saveIa32Pat: { bit: 18, name: 'Save IA32_PAT' },
  loadIa32Pat: { bit: 19, name: 'Load IA32_PAT' },
  saveIa32Efer: { bit: 20, name: 'Save IA32_EFER' },
  loadIa32Efer: { bit: 21, name: 'Load IA32_EFER' },
  saveVmxPreemptionTimerValue: { bit: 22, name: 'Save VMX-preemption timer value' },
  clearIa32Bndcfgs: { bit: 23, name: 'Clear IA32_BNDCFGS' },
  concealVmxFromPt: { bit: 24, name: 'Conceal VMX from PT' },
  clearIa32RtitCtl: { bit: 25, name: 'Clear IA32_RTIT_CTL' },
  loadCetState: { bit: 28, name: 'Load CET state' },
  loadPkrs: { bit: 29, name: 'Load PKRS' },
  saveIa32PerfGlobalCtl: { bit: 30, name: 'Save IA32_PERF_GLOBAL_CTL' },
} as const;

/** VM-entry controls (SDM Vol. 3C, 25.8.1). */
export const ENTRY_CONTROLS = {
  loadDebugControls: { bit: 2, name: 'Load debug controls' },
  ia32eModeGuest: { bit: 9, name: 'IA-32e mode guest' },
  entryToSmm: { bit: 10, name: 'Entry to SMM' },
  deactivateDualMonitorTreatment: { bit: 11, name: 'Deactivate dual-monitor treatment' },
  loadIa32PerfGlobalCtrl: { bit: 13, name: 'Load IA32_PERF_GLOBAL_CTRL' },
  loadIa32Pat: { bit: 14, name: 'Load IA32_PAT' },
  loadIa32Efer: { bit: 15, name: 'Load IA32_EFER' },
  loadIa32Bndcfgs: { bit: 16, name: 'Load IA32_BNDCFGS' },
  concealVmxFromPt: { bit: 17, name: 'Conceal VMX from PT' },
  loadIa32RtitCtl: { bit: 18, name: 'Load IA32_RTIT_CTL' },
  loadCetState: { bit: 20, name: 'Load CET state' },
  loadPkrs: { bit: 22, name: 'Load PKRS' },
} as const;

/** The control words by the name that field rows and capabilities use for them. */
export const CONTROL_WORDS: {
  readonly pinBased: typeof PIN_BASED_CONTROLS;
  readonly primary: typeof PRIMARY_CONTROLS;
  readonly secondary: typeof SECONDARY_CONTROLS;
  readonly tertiary: typeof TERTIARY_CONTROLS;
  readonly vmFunctions: typeof VM_FUNCTIONS;
  readonly exit: typeof EXIT_CONTROLS;
  readonly entry: typeof ENTRY_CONTROLS;
} = {
  pinBased: PIN_BASED_CONTROLS,
  primary: PRIMARY_CONTROLS,
  secondary: SECONDARY_CONTROLS,
  tertiary: TERTIARY_CONTROLS,
  vmFunctions: VM_FUNCTIONS,
  exit: EXIT_CONTROLS,
  entry: ENTRY_CONTROLS,
};

/** The name of a control word. */
export type ControlWord = keyof typeof CONTROL_WORDS;
/** The key of a control in its word. */
export type ControlKey<Word extends ControlWord> = keyof (typeof CONTROL_WORDS)[Word];
