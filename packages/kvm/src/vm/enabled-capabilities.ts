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
  /** KVM_CAP_X86_DISABLE_EXITS. */
  guestHalts = false;
  guestMonitors = false;
  /** KVM_CAP_MAX_VCPU_ID: as low as the user promised. */
  maxVcpuId: number | undefined;
}

/** KVM_MSR_EXIT_REASON_* (api.rst, 5). */
export const MsrExitReason = { INVALID: 1, UNKNOWN: 2, FILTER: 4 } as const;
