/**
 * Time-stamp counters of a VM's virtual CPUs, kept in step while user space sets one after the other: a write of 0, or of what the last one written would show by now, give or take
 * a second, takes that one's offset (KVM does so for host-initiated writes of IA32_TIME_STAMP_COUNTER).
 */
export class TscSync {
  #offset = 0n;
  #hz = 0;
  #isSet = false;

  /**
   * The offset for a time-stamp counter that user space sets.
   * @param value what it is to show now
   * @param hostTicks the host's ticks now, before any offset
   */
  offsetFor(value: bigint, hostTicks: bigint, hz: number): bigint {
    const expected = BigInt.asUintN(64, hostTicks + this.#offset);
    const second = BigInt(hz);
    const isInStep = value === 0n || (this.#isSet && value < expected + second && value + second > expected);
    if (isInStep && (this.#hz === 0 || this.#hz === hz)) return this.#offset;
    this.#offset = BigInt.asUintN(64, value - hostTicks);
    this.#hz = hz;
    this.#isSet = true;
    return this.#offset;
  }
}
