import { InvalidArgumentError } from '@minusone/core';
import { X2APIC_COUNT, X2APIC_FIRST } from './msr-table.ts';

/** `struct kvm_msr_filter_range` (api.rst, KVM_X86_SET_MSR_FILTER). */
export interface MsrFilterRange {
  /** KVM_MSR_FILTER_READ, KVM_MSR_FILTER_WRITE: which accesses the range is for. */
  readonly read: boolean;
  readonly write: boolean;
  readonly base: number;
  readonly nmsrs: number;
  /** A bit an MSR, lowest first; 1 allows. */
  readonly bitmap: Uint8Array;
}

/** `struct kvm_msr_filter`. */
export interface MsrFilterRanges {
  /** KVM_MSR_FILTER_DEFAULT_ALLOW, or _DENY, for what is in no range. */
  readonly defaultAllow: boolean;
  readonly ranges: readonly MsrFilterRange[];
}

/** KVM_MSR_FILTER_MAX_RANGES, and what a bitmap may be large (KVM_MSR_FILTER_MAX_BITMAP_SIZE), bytes. */
const MAX_RANGES = 16;
const MAX_BITMAP_BYTES = 0x600;

/** KVM_X86_SET_MSR_FILTER: which MSRs a guest's RDMSR and WRMSR may reach. What is denied is #GP(0), or an exit of reason `filter`. */
export class MsrFilter {
  #ranges: readonly MsrFilterRange[] = [];
  #defaultAllow = true;

  /**
   * Replaces the filter. No ranges and `defaultAllow`: everything is allowed again.
   * @throws {InvalidArgumentError} more than 16 ranges, a bitmap too short or too long, a range for neither reads nor writes, or a default of "deny" without ranges
   */
  set(filter: MsrFilterRanges): void {
    const { defaultAllow } = filter;
    const ranges = filter.ranges.filter(({ nmsrs }) => nmsrs > 0);
    if (ranges.length > MAX_RANGES) {
      throw new InvalidArgumentError(`${ranges.length} ranges are too many.`, `There may be ${MAX_RANGES}.`, { ranges: ranges.length });
    }
    for (const range of ranges) checkRange(range);
    // api.rst: "Calling this ioctl with an empty set of ranges (all nmsrs == 0) disables MSR filtering. In that mode, KVM_MSR_FILTER_DEFAULT_DENY is invalid".
    if (ranges.length === 0 && !defaultAllow) {
      throw new InvalidArgumentError('A filter without ranges cannot deny by default.', 'Give the ranges that are allowed.');
    }
    this.#ranges = ranges.map((range) => ({ ...range, bitmap: range.bitmap.slice() }));
    this.#defaultAllow = defaultAllow;
  }

  /** Nothing is denied. */
  get isOff(): boolean {
    return this.#defaultAllow && this.#ranges.length === 0;
  }

  /** Whether a guest's access is let through. x2APIC MSRs always are. */
  allows(index: number, write: boolean): boolean {
    const at = index >>> 0;
    if (at >= X2APIC_FIRST && at < X2APIC_FIRST + X2APIC_COUNT) return true;
    for (const range of this.#ranges) {
      const bit = at - range.base;
      if (!(write ? range.write : range.read) || bit < 0 || bit >= range.nmsrs) continue;
      return ((range.bitmap[bit >>> 3] as number) & (1 << (bit & 7))) !== 0;
    }
    return this.#defaultAllow;
  }
}

function checkRange(range: MsrFilterRange): void {
  const bytes = Math.ceil(range.nmsrs / 8);
  if (!range.read && !range.write)
    throw new InvalidArgumentError('A range for neither reads nor writes.', 'Set `read`, `write` or both.', { base: range.base });
  if (bytes > MAX_BITMAP_BYTES) {
    throw new InvalidArgumentError(`A range of ${range.nmsrs} MSRs is too long.`, `At most ${8 * MAX_BITMAP_BYTES}.`, { base: range.base });
  }
  if (range.bitmap.length < bytes) {
    throw new InvalidArgumentError(`A bitmap of ${range.bitmap.length} bytes for ${range.nmsrs} MSRs.`, `It takes ${bytes}.`, {
      base: range.base,
    });
  }
}
