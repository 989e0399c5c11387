/** What KVM_ENABLE_CAP turns on in a VM, with its arguments. */
export class EnabledCapabilities {
  /** KVM_CAP_X86_USER_SPACE_MSR: bits of `MsrExitReason`. */
  userSpaceMsr = 0;
  /** KVM_CAP_EXIT_HYPERCALL: a bit for each hypercall number that exits. */
  exitHypercall = 0;
  /** KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2: getDirtyLog clears nothing. */
  manualDirtyLog = false;
  /** KVM_CAP_EXCEPTION_PAYLOAD: events show payloads apart. */
  exceptionPayload = false;
  /** KVM_CAP_X86_TRIPLE_FAULT_EVENT: events show a triple fault. */
  tripleFaultEvent = false;
  /** KVM_CAP_MSR_PLATFORM_INFO: a guest may read MSR_PLATFORM_INFO. */
  guestReadsPlatformInfo = true;
  /** KVM_CAP_X86_DISABLE_EXITS. */
  guestHalts = false;
  guestMonitors = false;
  /** KVM_CAP_MAX_VCPU_ID: as low as the user promised. */
  maxVcpuId: number | undefined;
}

/** KVM_MSR_EXIT_REASON_* (api.rst, 5). */
export const MsrExitReason = { INVALID: 1, UNKNOWN: 2, FILTER: 4 } as const;

// What may be enabled: values of KVM_CHECK_EXTENSION.

/** KVM_CAP_X86_USER_SPACE_MSR. */
export const USER_SPACE_MSR_REASONS: number = MsrExitReason.INVALID | MsrExitReason.UNKNOWN | MsrExitReason.FILTER;
/** KVM_CAP_EXIT_HYPERCALL: a bit a hypercall, KVM_HC_MAP_GPA_RANGE (12). */
export const EXIT_HYPERCALLS: number = 1 << 12;
/** KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2: KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE. */
export const DIRTY_LOG_FLAGS = 1;
/** KVM_CAP_X86_DISABLE_EXITS: KVM_X86_DISABLE_EXITS_MWAIT, _HLT, _PAUSE. */
export const DISABLE_EXITS: number = 1 | 2 | 4;
/** KVM_CAP_X2APIC_API: KVM_X2APIC_API_USE_32BIT_IDS, _DISABLE_BROADCAST_QUIRK. */
export const X2APIC_API_FLAGS: number = 1 | 2;
/** KVM_CAP_MAX_VCPU_ID. */
export const MAX_VCPU_IDS = 4096;
