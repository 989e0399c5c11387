/** How a guest turns ticks into nanoseconds (Documentation/virt/kvm/x86/msr.rst, MSR_KVM_SYSTEM_TIME_NEW): `((ticks << shift) * mul) >> 32`; a negative shift is one to the right. */
export interface TimeScale {
  /** `tsc_to_system_mul`, 32 bits unsigned. */
  readonly mul: number;
  /** `tsc_shift`. */
  readonly shift: number;
}

const NS = 1_000_000_000n;

/**
 * The scale of a frequency: of all shifts the one that leaves the multiplier all its 32 bits, so that shifted ticks come faster than nanoseconds, and at most twice as fast.
 * @param hz an integer, 1 to 2^53
 */
export function timeScale(hz: number): TimeScale {
  let shift = 0;
  for (let shifted = hz; shifted <= 1e9; shifted *= 2) shift++;
  for (let shifted = hz; shifted > 2e9; shifted /= 2) shift--;
  const numerator = shift >= 0 ? NS << 32n : NS << BigInt(32 - shift);
  const denominator = shift >= 0 ? BigInt(hz) << BigInt(shift) : BigInt(hz);
  return { mul: Number(numerator / denominator), shift };
}

/** What the guest computes. */
export function scaleTicks(ticks: bigint, { mul, shift }: TimeScale): bigint {
  const shifted = shift >= 0 ? BigInt.asUintN(64, ticks << BigInt(shift)) : ticks >> BigInt(-shift);
  return (shifted * BigInt(mul)) >> 32n;
}
