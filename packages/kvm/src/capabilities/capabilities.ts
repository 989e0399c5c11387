/** One KVM_CAP_* (api.rst, 4.4 KVM_CHECK_EXTENSION; 6, 7, 8 for those that are enabled). */
export interface CapabilityRow {
  /** Without `KVM_CAP_`. */
  readonly name: string;
  /** What KVM_CHECK_EXTENSION answers; 0: not there. */
  readonly value: number;
  /** KVM_ENABLE_CAP on this one enables it. */
  readonly enabledOn?: 'vm' | 'vcpu';
  /** Where it is in our API, or why it is not. */
  readonly note: string;
}

export const capabilities: readonly CapabilityRow[] = [];

/** KVM_CHECK_EXTENSION: 0 for a capability that is not there, or that nobody knows. Names as `NR_MEMSLOTS` or `KVM_CAP_NR_MEMSLOTS`. */
export function checkExtension(_name: string): number {
  return 0;
}
/** The row of a capability, by either name. */
export function capability(_name: string): CapabilityRow | undefined {
  return undefined;
}
