/** The VMX capability MSRs by name (SDM Vol. 3D, Appendix A, "VMX Capability Reporting Facility"). */
export const VMX_MSRS = {
  IA32_VMX_BASIC: 0x480,
  IA32_VMX_PINBASED_CTLS: 0x481,
  IA32_VMX_PROCBASED_CTLS: 0x482,
  IA32_VMX_EXIT_CTLS: 0x483,
  IA32_VMX_ENTRY_CTLS: 0x484,
  IA32_VMX_MISC: 0x485,
  IA32_VMX_CR0_FIXED0: 0x486,
  IA32_VMX_CR0_FIXED1: 0x487,
  IA32_VMX_CR4_FIXED0: 0x488,
  IA32_VMX_CR4_FIXED1: 0x489,
  IA32_VMX_VMCS_ENUM: 0x48a,
  IA32_VMX_PROCBASED_CTLS2: 0x48b,
  IA32_VMX_EPT_VPID_CAP: 0x48c,
  IA32_VMX_TRUE_PINBASED_CTLS: 0x48d,
  IA32_VMX_TRUE_PROCBASED_CTLS: 0x48e,
  IA32_VMX_TRUE_EXIT_CTLS: 0x48f,
  IA32_VMX_TRUE_ENTRY_CTLS: 0x490,
  IA32_VMX_VMFUNC: 0x491,
  IA32_VMX_PROCBASED_CTLS3: 0x492,
} as const;

/** The name of a VMX capability MSR. */
export type VmxMsrName = keyof typeof VMX_MSRS;

/** What the capability MSRs hold. One that is absent does not exist on that processor: RDMSR raises #GP(0). */
export type VmxMsrs = { readonly [Name in VmxMsrName]?: bigint };

/** Bits of IA32_VMX_EPT_VPID_CAP (SDM Vol. 3D, A.10). */
export const EPT_VPID_CAPABILITIES = {
  executeOnlyTranslations: { bit: 0, name: 'Execute-only translations' },
  pageWalkLength4: { bit: 6, name: 'Page-walk length of 4' },
  pageWalkLength5: { bit: 7, name: 'Page-walk length of 5' },
  memoryTypeUc: { bit: 8, name: 'EPT paging-structure memory type UC' },
  memoryTypeWb: { bit: 14, name: 'EPT paging-structure memory type WB' },
  pages2M: { bit: 16, name: '2-MByte pages' },
  pages1G: { bit: 17, name: '1-GByte pages' },
  invept: { bit: 20, name: 'INVEPT' },
  accessedAndDirtyFlags: { bit: 21, name: 'Accessed and dirty flags for EPT' },
  advancedExitInformation: { bit: 22, name: 'Advanced VM-exit information for EPT violations' },
  supervisorShadowStackControl: { bit: 23, name: 'Supervisor shadow-stack control' },
  inveptSingleContext: { bit: 25, name: 'Single-context INVEPT' },
  inveptAllContext: { bit: 26, name: 'All-context INVEPT' },
  invvpid: { bit: 32, name: 'INVVPID' },
  invvpidIndividualAddress: { bit: 40, name: 'Individual-address INVVPID' },
  invvpidSingleContext: { bit: 41, name: 'Single-context INVVPID' },
  invvpidAllContext: { bit: 42, name: 'All-context INVVPID' },
  invvpidSingleContextRetainingGlobals: { bit: 43, name: 'Single-context-retaining-globals INVVPID' },
} as const;

/** The key of a bit of IA32_VMX_EPT_VPID_CAP. */
export type EptVpidCapability = keyof typeof EPT_VPID_CAPABILITIES;

/** The "default1" class: control bits without a name, or named late, that read 1 in the allowed-0 half of the plain MSRs (SDM Vol. 3D, A.2). */
export const DEFAULT1 = { pinBased: 0x16, primary: 0x0401_e172, exit: 0x0003_6dff, entry: 0x11ff } as const;

/** Members of the default1 class that may be 0 all the same on processors with the TRUE MSRs (SDM Vol. 3D, A.3.2, A.4, A.5). */
export const FLEXIBLE_DEFAULT1 = { pinBased: 0, primary: 0x0001_8000, exit: 4, entry: 4 } as const;
