/** One row of the VMCS: a field, its encoding, and what must be supported for it to exist (SDM Vol. 3C, 25.11.2 and Appendix B, "Field Encoding in VMCS"). */
export interface VmcsField {
  /** SDM Vol. 3C, 25.11.2, "Structure of VMCS Component Encoding". */
  readonly encoding: number;
  /** The field as the manual's text calls it. */
  readonly title: string;
  /** The section of SDM Vol. 3C, chapter 25 ("Virtual Machine Control Structures"; chapter 24 in older editions) that describes it. */
  readonly section: string;
  /** It exists only on processors that support the 1-setting of one of these controls (word and key as in the control tables). */
  readonly needs?: readonly string[];
  /** It exists only on processors that support at least so many CR3-target values (IA32_VMX_MISC, bits 24:16). */
  readonly cr3Targets?: number;
}

/** Every field of the VMCS known here, by name, in the order of the encodings. */
export const VMCS_FIELDS = {
  VIRTUAL_PROCESSOR_ID: {
    encoding: 0x0000,
    title: 'Virtual-processor identifier (VPID)',
    section: '25.6.12',
    needs: ['secondary.enableVpid'],
  },
  POSTED_INTR_NV: {
    encoding: 0x0002,
    title: 'Posted-interrupt notification vector',
    section: '25.6.8',
    needs: ['pinBased.processPostedInterrupts'],
  },
  HLAT_PREFIX_SIZE: { encoding: 0x0006, title: 'HLAT prefix size', section: '25.6.23', needs: ['tertiary.enableHlat'] },
  LAST_PID_POINTER_INDEX: { encoding: 0x0008, title: 'Last PID-pointer index', section: '25.6.8', needs: ['tertiary.ipiVirtualization'] },
  GUEST_ES_SELECTOR: { encoding: 0x0800, title: 'Guest ES selector', section: '25.4.1' },
  GUEST_CS_SELECTOR: { encoding: 0x0802, title: 'Guest CS selector', section: '25.4.1' },
  GUEST_SS_SELECTOR: { encoding: 0x0804, title: 'Guest SS selector', section: '25.4.1' },
  GUEST_DS_SELECTOR: { encoding: 0x0806, title: 'Guest DS selector', section: '25.4.1' },
  GUEST_FS_SELECTOR: { encoding: 0x0808, title: 'Guest FS selector', section: '25.4.1' },
  GUEST_GS_SELECTOR: { encoding: 0x080a, title: 'Guest GS selector', section: '25.4.1' },
  GUEST_LDTR_SELECTOR: { encoding: 0x080c, title: 'Guest LDTR selector', section: '25.4.1' },
  GUEST_TR_SELECTOR: { encoding: 0x080e, title: 'Guest TR selector', section: '25.4.1' },
  GUEST_INTR_STATUS: {
    encoding: 0x0810,
    title: 'Guest interrupt status',
    section: '25.4.2',
    needs: ['secondary.virtualInterruptDelivery'],
  },
  GUEST_PML_INDEX: { encoding: 0x0812, title: 'PML index', section: '25.4.2', needs: ['secondary.enablePml'] },
  HOST_ES_SELECTOR: { encoding: 0x0c00, title: 'Host ES selector', section: '25.5' },
  HOST_CS_SELECTOR: { encoding: 0x0c02, title: 'Host CS selector', section: '25.5' },
  HOST_SS_SELECTOR: { encoding: 0x0c04, title: 'Host SS selector', section: '25.5' },
  HOST_DS_SELECTOR: { encoding: 0x0c06, title: 'Host DS selector', section: '25.5' },
  HOST_FS_SELECTOR: { encoding: 0x0c08, title: 'Host FS selector', section: '25.5' },
  HOST_GS_SELECTOR: { encoding: 0x0c0a, title: 'Host GS selector', section: '25.5' },
  HOST_TR_SELECTOR: { encoding: 0x0c0c, title: 'Host TR selector', section: '25.5' },
  IO_BITMAP_A: { encoding: 0x2000, title: 'Address of I/O bitmap A', section: '25.6.4' },
  IO_BITMAP_B: { encoding: 0x2002, title: 'Address of I/O bitmap B', section: '25.6.4' },
  MSR_BITMAP: { encoding: 0x2004, title: 'Address of MSR bitmaps', section: '25.6.9', needs: ['primary.useMsrBitmaps'] },
  VM_EXIT_MSR_STORE_ADDR: { encoding: 0x2006, title: 'VM-exit MSR-store address', section: '25.7.2' },
  VM_EXIT_MSR_LOAD_ADDR: { encoding: 0x2008, title: 'VM-exit MSR-load address', section: '25.7.2' },
  VM_ENTRY_MSR_LOAD_ADDR: { encoding: 0x200a, title: 'VM-entry MSR-load address', section: '25.8.2' },
  EXECUTIVE_VMCS_POINTER: { encoding: 0x200c, title: 'Executive-VMCS pointer', section: '25.6.10' },
  PML_ADDRESS: { encoding: 0x200e, title: 'PML address', section: '25.6.19', needs: ['secondary.enablePml'] },
  TSC_OFFSET: { encoding: 0x2010, title: 'TSC offset', section: '25.6.5' },
  VIRTUAL_APIC_PAGE_ADDR: { encoding: 0x2012, title: 'Virtual-APIC address', section: '25.6.8', needs: ['primary.useTprShadow'] },
  APIC_ACCESS_ADDR: { encoding: 0x2014, title: 'APIC-access address', section: '25.6.8', needs: ['secondary.virtualizeApicAccesses'] },
  POSTED_INTR_DESC_ADDR: {
    encoding: 0x2016,
    title: 'Posted-interrupt descriptor address',
    section: '25.6.8',
    needs: ['pinBased.processPostedInterrupts'],
  },
  VM_FUNCTION_CONTROL: { encoding: 0x2018, title: 'VM-function controls', section: '25.6.14', needs: ['secondary.enableVmFunctions'] },
  EPT_POINTER: { encoding: 0x201a, title: 'EPT pointer (EPTP)', section: '25.6.11', needs: ['secondary.enableEpt'] },
  EOI_EXIT_BITMAP0: { encoding: 0x201c, title: 'EOI-exit bitmap 0', section: '25.6.8', needs: ['secondary.virtualInterruptDelivery'] },
  EOI_EXIT_BITMAP1: { encoding: 0x201e, title: 'EOI-exit bitmap 1', section: '25.6.8', needs: ['secondary.virtualInterruptDelivery'] },
  EOI_EXIT_BITMAP2: { encoding: 0x2020, title: 'EOI-exit bitmap 2', section: '25.6.8', needs: ['secondary.virtualInterruptDelivery'] },
  EOI_EXIT_BITMAP3: { encoding: 0x2022, title: 'EOI-exit bitmap 3', section: '25.6.8', needs: ['secondary.virtualInterruptDelivery'] },
  EPTP_LIST_ADDRESS: { encoding: 0x2024, title: 'EPTP-list address', section: '25.6.14', needs: ['vmFunctions.eptpSwitching'] },
  VMREAD_BITMAP: { encoding: 0x2026, title: 'VMREAD-bitmap address', section: '25.6.15', needs: ['secondary.vmcsShadowing'] },
  VMWRITE_BITMAP: { encoding: 0x2028, title: 'VMWRITE-bitmap address', section: '25.6.15', needs: ['secondary.vmcsShadowing'] },
  VE_INFORMATION_ADDRESS: {
    encoding: 0x202a,
    title: 'Virtualization-exception information address',
    section: '25.6.20',
    needs: ['secondary.eptViolationVe'],
  },
  XSS_EXIT_BITMAP: { encoding: 0x202c, title: 'XSS-exiting bitmap', section: '25.6.21', needs: ['secondary.enableXsavesXrstors'] },
  ENCLS_EXITING_BITMAP: { encoding: 0x202e, title: 'ENCLS-exiting bitmap', section: '25.6.16', needs: ['secondary.enableEnclsExiting'] },
  SUB_PAGE_PERMISSION_TABLE_POINTER: {
    encoding: 0x2030,
    title: 'Sub-page-permission-table pointer (SPPTP)',
    section: '25.6.22',
    needs: ['secondary.subPageWritePermissionsForEpt'],
  },
  TSC_MULTIPLIER: { encoding: 0x2032, title: 'TSC multiplier', section: '25.6.5', needs: ['secondary.useTscScaling'] },
  TERTIARY_VM_EXEC_CONTROL: {
    encoding: 0x2034,
    title: 'Tertiary processor-based VM-execution controls',
    section: '25.6.2',
    needs: ['primary.activateTertiaryControls'],
  },
  HLAT_POINTER: {
    encoding: 0x2040,
    title: 'Hypervisor-managed linear-address translation pointer (HLATP)',
    section: '25.6.23',
    needs: ['tertiary.enableHlat'],
  },
  PID_POINTER_TABLE: { encoding: 0x2042, title: 'PID-pointer table address', section: '25.6.8', needs: ['tertiary.ipiVirtualization'] },
  GUEST_PHYSICAL_ADDRESS: { encoding: 0x2400, title: 'Guest-physical address', section: '25.9.1', needs: ['secondary.enableEpt'] },
  VMCS_LINK_POINTER: { encoding: 0x2800, title: 'VMCS link pointer', section: '25.4.2' },
  GUEST_IA32_DEBUGCTL: { encoding: 0x2802, title: 'Guest IA32_DEBUGCTL', section: '25.4.1' },
  GUEST_IA32_PAT: { encoding: 0x2804, title: 'Guest IA32_PAT', section: '25.4.1', needs: ['entry.loadIa32Pat', 'exit.saveIa32Pat'] },
  GUEST_IA32_EFER: { encoding: 0x2806, title: 'Guest IA32_EFER', section: '25.4.1', needs: ['entry.loadIa32Efer', 'exit.saveIa32Efer'] },
  GUEST_IA32_PERF_GLOBAL_CTRL: {
    encoding: 0x2808,
    title: 'Guest IA32_PERF_GLOBAL_CTRL',
    section: '25.4.1',
    needs: ['entry.loadIa32PerfGlobalCtrl', 'exit.saveIa32PerfGlobalCtl'],
  },
  GUEST_PDPTR0: { encoding: 0x280a, title: 'Guest PDPTE0', section: '25.4.2', needs: ['secondary.enableEpt'] },
  GUEST_PDPTR1: { encoding: 0x280c, title: 'Guest PDPTE1', section: '25.4.2', needs: ['secondary.enableEpt'] },
  GUEST_PDPTR2: { encoding: 0x280e, title: 'Guest PDPTE2', section: '25.4.2', needs: ['secondary.enableEpt'] },
  GUEST_PDPTR3: { encoding: 0x2810, title: 'Guest PDPTE3', section: '25.4.2', needs: ['secondary.enableEpt'] },
  GUEST_BNDCFGS: {
    encoding: 0x2812,
    title: 'Guest IA32_BNDCFGS',
    section: '25.4.1',
    needs: ['entry.loadIa32Bndcfgs', 'exit.clearIa32Bndcfgs'],
  },
  GUEST_IA32_RTIT_CTL: {
    encoding: 0x2814,
    title: 'Guest IA32_RTIT_CTL',
    section: '25.4.1',
    needs: ['entry.loadIa32RtitCtl', 'exit.clearIa32RtitCtl'],
  },
  GUEST_IA32_PKRS: { encoding: 0x2818, title: 'Guest IA32_PKRS', section: '25.4.1', needs: ['entry.loadPkrs'] },
  HOST_IA32_PAT: { encoding: 0x2c00, title: 'Host IA32_PAT', section: '25.5', needs: ['exit.loadIa32Pat'] },
  HOST_IA32_EFER: { encoding: 0x2c02, title: 'Host IA32_EFER', section: '25.5', needs: ['exit.loadIa32Efer'] },
  HOST_IA32_PERF_GLOBAL_CTRL: {
    encoding: 0x2c04,
    title: 'Host IA32_PERF_GLOBAL_CTRL',
    section: '25.5',
    needs: ['exit.loadIa32PerfGlobalCtrl'],
  },
  HOST_IA32_PKRS: { encoding: 0x2c06, title: 'Host IA32_PKRS', section: '25.5', needs: ['exit.loadPkrs'] },
  PIN_BASED_VM_EXEC_CONTROL: { encoding: 0x4000, title: 'Pin-based VM-execution controls', section: '25.6.1' },
  CPU_BASED_VM_EXEC_CONTROL: { encoding: 0x4002, title: 'Primary processor-based VM-execution controls', section: '25.6.2' },
  EXCEPTION_BITMAP: { encoding: 0x4004, title: 'Exception bitmap', section: '25.6.3' },
  PAGE_FAULT_ERROR_CODE_MASK: { encoding: 0x4006, title: 'Page-fault error-code mask', section: '25.6.3' },
  PAGE_FAULT_ERROR_CODE_MATCH: { encoding: 0x4008, title: 'Page-fault error-code match', section: '25.6.3' },
  CR3_TARGET_COUNT: { encoding: 0x400a, title: 'CR3-target count', section: '25.6.7' },
  VM_EXIT_CONTROLS: { encoding: 0x400c, title: 'Primary VM-exit controls', section: '25.7.1' },
  VM_EXIT_MSR_STORE_COUNT: { encoding: 0x400e, title: 'VM-exit MSR-store count', section: '25.7.2' },
  VM_EXIT_MSR_LOAD_COUNT: { encoding: 0x4010, title: 'VM-exit MSR-load count', section: '25.7.2' },
  VM_ENTRY_CONTROLS: { encoding: 0x4012, title: 'VM-entry controls', section: '25.8.1' },
  VM_ENTRY_MSR_LOAD_COUNT: { encoding: 0x4014, title: 'VM-entry MSR-load count', section: '25.8.2' },
  VM_ENTRY_INTR_INFO_FIELD: { encoding: 0x4016, title: 'VM-entry interruption-information field', section: '25.8.3' },
  VM_ENTRY_EXCEPTION_ERROR_CODE: { encoding: 0x4018, title: 'VM-entry exception error code', section: '25.8.3' },
  VM_ENTRY_INSTRUCTION_LEN: { encoding: 0x401a, title: 'VM-entry instruction length', section: '25.8.3' },
  TPR_THRESHOLD: { encoding: 0x401c, title: 'TPR threshold', section: '25.6.8', needs: ['primary.useTprShadow'] },
  SECONDARY_VM_EXEC_CONTROL: {
    encoding: 0x401e,
    title: 'Secondary processor-based VM-execution controls',
    section: '25.6.2',
    needs: ['primary.activateSecondaryControls'],
  },
  PLE_GAP: { encoding: 0x4020, title: 'PLE_Gap', section: '25.6.13', needs: ['secondary.pauseLoopExiting'] },
  PLE_WINDOW: { encoding: 0x4022, title: 'PLE_Window', section: '25.6.13', needs: ['secondary.pauseLoopExiting'] },
  NOTIFY_WINDOW: { encoding: 0x4024, title: 'Instruction-timeout control', section: '25.6.25', needs: ['secondary.instructionTimeout'] },
  VM_INSTRUCTION_ERROR: { encoding: 0x4400, title: 'VM-instruction error', section: '25.9.5' },
  VM_EXIT_REASON: { encoding: 0x4402, title: 'Exit reason', section: '25.9.1' },
  VM_EXIT_INTR_INFO: { encoding: 0x4404, title: 'VM-exit interruption information', section: '25.9.2' },
  VM_EXIT_INTR_ERROR_CODE: { encoding: 0x4406, title: 'VM-exit interruption error code', section: '25.9.2' },
  IDT_VECTORING_INFO_FIELD: { encoding: 0x4408, title: 'IDT-vectoring information field', section: '25.9.3' },
  IDT_VECTORING_ERROR_CODE: { encoding: 0x440a, title: 'IDT-vectoring error code', section: '25.9.3' },
  VM_EXIT_INSTRUCTION_LEN: { encoding: 0x440c, title: 'VM-exit instruction length', section: '25.9.4' },
  VMX_INSTRUCTION_INFO: { encoding: 0x440e, title: 'VM-exit instruction information', section: '25.9.4' },
  GUEST_ES_LIMIT: { encoding: 0x4800, title: 'Guest ES limit', section: '25.4.1' },
  GUEST_CS_LIMIT: { encoding: 0x4802, title: 'Guest CS limit', section: '25.4.1' },
  GUEST_SS_LIMIT: { encoding: 0x4804, title: 'Guest SS limit', section: '25.4.1' },
  GUEST_DS_LIMIT: { encoding: 0x4806, title: 'Guest DS limit', section: '25.4.1' },
  GUEST_FS_LIMIT: { encoding: 0x4808, title: 'Guest FS limit', section: '25.4.1' },
  GUEST_GS_LIMIT: { encoding: 0x480a, title: 'Guest GS limit', section: '25.4.1' },
  GUEST_LDTR_LIMIT: { encoding: 0x480c, title: 'Guest LDTR limit', section: '25.4.1' },
  GUEST_TR_LIMIT: { encoding: 0x480e, title: 'Guest TR limit', section: '25.4.1' },
  GUEST_GDTR_LIMIT: { encoding: 0x4810, title: 'Guest GDTR limit', section: '25.4.1' },
  GUEST_IDTR_LIMIT: { encoding: 0x4812, title: 'Guest IDTR limit', section: '25.4.1' },
  GUEST_ES_AR_BYTES: { encoding: 0x4814, title: 'Guest ES access rights', section: '25.4.1' },
  GUEST_CS_AR_BYTES: { encoding: 0x4816, title: 'Guest CS access rights', section: '25.4.1' },
  GUEST_SS_AR_BYTES: { encoding: 0x4818, title: 'Guest SS access rights', section: '25.4.1' },
  GUEST_DS_AR_BYTES: { encoding: 0x481a, title: 'Guest DS access rights', section: '25.4.1' },
  GUEST_FS_AR_BYTES: { encoding: 0x481c, title: 'Guest FS access rights', section: '25.4.1' },
  GUEST_GS_AR_BYTES: { encoding: 0x481e, title: 'Guest GS access rights', section: '25.4.1' },
  GUEST_LDTR_AR_BYTES: { encoding: 0x4820, title: 'Guest LDTR access rights', section: '25.4.1' },
  GUEST_TR_AR_BYTES: { encoding: 0x4822, title: 'Guest TR access rights', section: '25.4.1' },
  GUEST_INTERRUPTIBILITY_INFO: { encoding: 0x4824, title: 'Guest interruptibility state', section: '25.4.2' },
  GUEST_ACTIVITY_STATE: { encoding: 0x4826, title: 'Guest activity state', section: '25.4.2' },
  GUEST_SMBASE: { encoding: 0x4828, title: 'Guest SMBASE', section: '25.4.1' },
  GUEST_SYSENTER_CS: { encoding: 0x482a, title: 'Guest IA32_SYSENTER_CS', section: '25.4.1' },
  VMX_PREEMPTION_TIMER_VALUE: {
    encoding: 0x482e,
    title: 'VMX-preemption timer value',
    section: '25.4.2',
    needs: ['pinBased.activateVmxPreemptionTimer'],
  },
  HOST_IA32_SYSENTER_CS: { encoding: 0x4c00, title: 'Host IA32_SYSENTER_CS', section: '25.5' },
  CR0_GUEST_HOST_MASK: { encoding: 0x6000, title: 'CR0 guest/host mask', section: '25.6.6' },
  CR4_GUEST_HOST_MASK: { encoding: 0x6002, title: 'CR4 guest/host mask', section: '25.6.6' },
  CR0_READ_SHADOW: { encoding: 0x6004, title: 'CR0 read shadow', section: '25.6.6' },
  CR4_READ_SHADOW: { encoding: 0x6006, title: 'CR4 read shadow', section: '25.6.6' },
  CR3_TARGET_VALUE0: { encoding: 0x6008, title: 'CR3-target value 0', section: '25.6.7', cr3Targets: 1 },
  CR3_TARGET_VALUE1: { encoding: 0x600a, title: 'CR3-target value 1', section: '25.6.7', cr3Targets: 2 },
  CR3_TARGET_VALUE2: { encoding: 0x600c, title: 'CR3-target value 2', section: '25.6.7', cr3Targets: 3 },
  CR3_TARGET_VALUE3: { encoding: 0x600e, title: 'CR3-target value 3', section: '25.6.7', cr3Targets: 4 },
  EXIT_QUALIFICATION: { encoding: 0x6400, title: 'Exit qualification', section: '25.9.1' },
  IO_RCX: { encoding: 0x6402, title: 'I/O RCX', section: '25.9.4' },
  IO_RSI: { encoding: 0x6404, title: 'I/O RSI', section: '25.9.4' },
  IO_RDI: { encoding: 0x6406, title: 'I/O RDI', section: '25.9.4' },
  IO_RIP: { encoding: 0x6408, title: 'I/O RIP', section: '25.9.4' },
  GUEST_LINEAR_ADDRESS: { encoding: 0x640a, title: 'Guest-linear address', section: '25.9.1' },
  GUEST_CR0: { encoding: 0x6800, title: 'Guest CR0', section: '25.4.1' },
  GUEST_CR3: { encoding: 0x6802, title: 'Guest CR3', section: '25.4.1' },
  GUEST_CR4: { encoding: 0x6804, title: 'Guest CR4', section: '25.4.1' },
  GUEST_ES_BASE: { encoding: 0x6806, title: 'Guest ES base', section: '25.4.1' },
  GUEST_CS_BASE: { encoding: 0x6808, title: 'Guest CS base', section: '25.4.1' },
  GUEST_SS_BASE: { encoding: 0x680a, title: 'Guest SS base', section: '25.4.1' },
  GUEST_DS_BASE: { encoding: 0x680c, title: 'Guest DS base', section: '25.4.1' },
  GUEST_FS_BASE: { encoding: 0x680e, title: 'Guest FS base', section: '25.4.1' },
  GUEST_GS_BASE: { encoding: 0x6810, title: 'Guest GS base', section: '25.4.1' },
  GUEST_LDTR_BASE: { encoding: 0x6812, title: 'Guest LDTR base', section: '25.4.1' },
  GUEST_TR_BASE: { encoding: 0x6814, title: 'Guest TR base', section: '25.4.1' },
  GUEST_GDTR_BASE: { encoding: 0x6816, title: 'Guest GDTR base', section: '25.4.1' },
  GUEST_IDTR_BASE: { encoding: 0x6818, title: 'Guest IDTR base', section: '25.4.1' },
  GUEST_DR7: { encoding: 0x681a, title: 'Guest DR7', section: '25.4.1' },
  GUEST_RSP: { encoding: 0x681c, title: 'Guest RSP', section: '25.4.1' },
  GUEST_RIP: { encoding: 0x681e, title: 'Guest RIP', section: '25.4.1' },
  GUEST_RFLAGS: { encoding: 0x6820, title: 'Guest RFLAGS', section: '25.4.1' },
  GUEST_PENDING_DBG_EXCEPTIONS: { encoding: 0x6822, title: 'Guest pending debug exceptions', section: '25.4.2' },
  GUEST_SYSENTER_ESP: { encoding: 0x6824, title: 'Guest IA32_SYSENTER_ESP', section: '25.4.1' },
  GUEST_SYSENTER_EIP: { encoding: 0x6826, title: 'Guest IA32_SYSENTER_EIP', section: '25.4.1' },
  GUEST_IA32_S_CET: { encoding: 0x6828, title: 'Guest IA32_S_CET', section: '25.4.1', needs: ['entry.loadCetState'] },
  GUEST_SSP: { encoding: 0x682a, title: 'Guest SSP', section: '25.4.1', needs: ['entry.loadCetState'] },
  GUEST_IA32_INTERRUPT_SSP_TABLE_ADDR: {
    encoding: 0x682c,
    title: 'Guest IA32_INTERRUPT_SSP_TABLE_ADDR',
    section: '25.4.1',
    needs: ['entry.loadCetState'],
  },
  HOST_CR0: { encoding: 0x6c00, title: 'Host CR0', section: '25.5' },
  HOST_CR3: { encoding: 0x6c02, title: 'Host CR3', section: '25.5' },
  HOST_CR4: { encoding: 0x6c04, title: 'Host CR4', section: '25.5' },
  HOST_FS_BASE: { encoding: 0x6c06, title: 'Host FS base', section: '25.5' },
  HOST_GS_BASE: { encoding: 0x6c08, title: 'Host GS base', section: '25.5' },
  HOST_TR_BASE: { encoding: 0x6c0a, title: 'Host TR base', section: '25.5' },
  HOST_GDTR_BASE: { encoding: 0x6c0c, title: 'Host GDTR base', section: '25.5' },
  HOST_IDTR_BASE: { encoding: 0x6c0e, title: 'Host IDTR base', section: '25.5' },
  HOST_IA32_SYSENTER_ESP: { encoding: 0x6c10, title: 'Host IA32_SYSENTER_ESP', section: '25.5' },
  HOST_IA32_SYSENTER_EIP: { encoding: 0x6c12, title: 'Host IA32_SYSENTER_EIP', section: '25.5' },
  HOST_RSP: { encoding: 0x6c14, title: 'Host RSP', section: '25.5' },
  HOST_RIP: { encoding: 0x6c16, title: 'Host RIP', section: '25.5' },
  HOST_IA32_S_CET: { encoding: 0x6c18, title: 'Host IA32_S_CET', section: '25.5', needs: ['exit.loadCetState'] },
  HOST_SSP: { encoding: 0x6c1a, title: 'Host SSP', section: '25.5', needs: ['exit.loadCetState'] },
  HOST_IA32_INTERRUPT_SSP_TABLE_ADDR: {
    encoding: 0x6c1c,
    title: 'Host IA32_INTERRUPT_SSP_TABLE_ADDR',
    section: '25.5',
    needs: ['exit.loadCetState'],
  },
} as const;

/** The name of a VMCS field. */
export type VmcsFieldName = keyof typeof VMCS_FIELDS;

/** The encodings by name: `FIELD.GUEST_RIP`. */
export const FIELD: Readonly<Record<VmcsFieldName, number>> = Object.fromEntries(
  Object.entries(VMCS_FIELDS).map(([name, { encoding }]) => [name, encoding]),
) as Record<VmcsFieldName, number>;

/** All names, in the order of the table. */
export const VMCS_FIELD_NAMES: readonly VmcsFieldName[] = Object.keys(VMCS_FIELDS) as VmcsFieldName[];

const byEncoding: ReadonlyMap<number, VmcsFieldName> = new Map(VMCS_FIELD_NAMES.map((name) => [FIELD[name], name]));

/** The row of a field. */
export function vmcsField(name: VmcsFieldName): VmcsField {
  return VMCS_FIELDS[name];
}

/** The name of the field with this encoding, its high half (access type 1) included; undefined where no field has it. */
export function vmcsFieldName(encoding: number): VmcsFieldName | undefined {
  const width64 = (encoding & 0x6000) === 0x2000;
  return byEncoding.get(width64 ? encoding & ~1 : encoding);
}

/** Whether a text is the name of a field. */
export function isVmcsFieldName(name: string): name is VmcsFieldName {
  return Object.hasOwn(VMCS_FIELDS, name);
}
