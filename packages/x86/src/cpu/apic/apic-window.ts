import type { AccessSize, MmioDevice } from '@minusone/core';
import type { MmioRegion, PhysicalAddressSpace } from '@minusone/memory';
import type { ApicBus } from './apic-bus.ts';
import type { LocalApic } from './local-apic.ts';

const PAGE = 4096;

/**
 * The memory-mapped registers of every local APIC of a machine. All of them stand at the same address, and each processor sees its own: the window asks
 * which processor accesses it. It follows IA32_APIC_BASE.
 */
export class ApicWindow implements MmioDevice {
  readonly #space: PhysicalAddressSpace;
  readonly #bus: ApicBus;
  readonly #current: () => LocalApic | undefined;
  readonly #regions = new Map<number, MmioRegion>();

  /** @param current the local APIC of the processor whose access this is */
  constructor(space: PhysicalAddressSpace, bus: ApicBus, current: () => LocalApic | undefined) {
    this.#space = space;
    this.#bus = bus;
    this.#current = current;
    bus.onMove(() => this.refresh());
    this.refresh();
  }

  /** Maps a page at each address where an enabled xAPIC stands. */
  refresh(): void {
    const wanted = new Set(this.#bus.apics.filter((apic) => apic.isEnabled && !apic.isX2apic).map((apic) => apic.baseAddress));
    for (const [address, region] of this.#regions) {
      if (wanted.has(address)) continue;
      this.#space.unmapMmio(region);
      this.#regions.delete(address);
    }
    for (const address of wanted) if (!this.#regions.has(address)) this.#regions.set(address, this.#space.mapMmio(address, PAGE, this));
  }

  #visible(): LocalApic | undefined {
    const apic = this.#current();
    return apic?.isEnabled && !apic.isX2apic ? apic : undefined;
  }

  /** Registers are 32 bits on 16-byte boundaries; narrower reads see their part (SDM Vol. 3A, 10.4.1). */
  readMmio(offset: number, size: AccessSize): number {
    const apic = this.#visible();
    if (apic === undefined) return size === 4 ? 0xffffffff : (1 << (size * 8)) - 1;
    if ((offset & 0xf) + size > 4) return 0;
    const value = apic.readRegister(offset & ~0xf);
    if (value === undefined) {
      apic.illegalRegister();
      return 0;
    }
    const shifted = value >>> ((offset & 3) * 8);
    return size === 4 ? shifted >>> 0 : shifted & ((1 << (size * 8)) - 1);
  }

  writeMmio(offset: number, size: AccessSize, value: number): void {
    const apic = this.#visible();
    if (apic === undefined || size !== 4 || (offset & 0xf) !== 0) return;
    if (!apic.writeRegister(offset, value)) apic.illegalRegister();
  }
}
