import { PageFlag, PhysicalAddressSpace, PLAIN_READ_MASK } from '@minusone/memory';

/** Where accesses go, while an instruction is emulated, that reach no RAM: devices in the kernel, and the user. Values in unsigned halves. */
export interface OutsideAccess {
  /** @returns the low half; the high one is in `hi` then */
  readMmio(gpa: number, bytes: 1 | 2 | 4 | 8): number;
  readonly hi: number;
  writeMmio(gpa: number, bytes: 1 | 2 | 4 | 8, low: number, high: number): void;
}

/**
 * The guest-physical addresses of one VM: slots, and the memory-mapped devices of the kernel over them. What the VMM and KVM read and write by guest-physical address, and what
 * the emulator's processor has for memory: while it executes an instruction, what is not plain RAM is `outside`'s.
 */
export class GuestPhysical extends PhysicalAddressSpace {
  outside: OutsideAccess | undefined;

  #isOutside(gpa: number): boolean {
    const entry = this.pages.entry(gpa);
    if ((entry & PLAIN_READ_MASK) === PageFlag.RAM) return false;
    // A page of RAM that a small device stands on: the rest of it is RAM.
    return entry === 0 || this.mmio.find(gpa) !== undefined;
  }
  #isOutsideForWrite(gpa: number): boolean {
    const entry = this.pages.entry(gpa);
    if ((entry & PageFlag.WRITABLE) !== 0) return false;
    return (entry & (PageFlag.RAM | PageFlag.ROM)) !== PageFlag.RAM || this.mmio.find(gpa) !== undefined;
  }

  /** True where a device of the kernel takes the access. */
  hasDevice(gpa: number): boolean {
    return this.mmio.find(gpa) !== undefined;
  }
  /** True where a read of the byte is not one of RAM or ROM. */
  isDeviceRead(gpa: number): boolean {
    return this.#isOutside(gpa);
  }

  /** True where a write of the byte is none to RAM: to a device, to read-only memory, or to nothing. */
  isDeviceWrite(gpa: number): boolean {
    return this.#isOutsideForWrite(gpa);
  }

  override read8(gpa: number): number {
    const { outside } = this;
    return outside === undefined || !this.#isOutside(gpa) ? super.read8(gpa) : outside.readMmio(gpa, 1);
  }
  override read16(gpa: number): number {
    const { outside } = this;
    return outside === undefined || !this.#isOutside(gpa) ? super.read16(gpa) : outside.readMmio(gpa, 2);
  }
  override read32(gpa: number): number {
    const { outside } = this;
    return outside === undefined || !this.#isOutside(gpa) ? super.read32(gpa) : outside.readMmio(gpa, 4);
  }
  override read64Lo(gpa: number): number {
    const { outside } = this;
    if (outside === undefined || !this.#isOutside(gpa)) return super.read64Lo(gpa);
    const low = outside.readMmio(gpa, 8);
    this.hi = outside.hi;
    return low;
  }
  override write8(gpa: number, value: number): void {
    const { outside } = this;
    if (outside === undefined || !this.#isOutsideForWrite(gpa)) super.write8(gpa, value);
    else outside.writeMmio(gpa, 1, value & 0xff, 0);
  }
  override write16(gpa: number, value: number): void {
    const { outside } = this;
    if (outside === undefined || !this.#isOutsideForWrite(gpa)) super.write16(gpa, value);
    else outside.writeMmio(gpa, 2, value & 0xffff, 0);
  }
  override write32(gpa: number, value: number): void {
    const { outside } = this;
    if (outside === undefined || !this.#isOutsideForWrite(gpa)) super.write32(gpa, value);
    else outside.writeMmio(gpa, 4, value >>> 0, 0);
  }
  override write64Parts(gpa: number, low: number, high: number): void {
    const { outside } = this;
    if (outside === undefined || !this.#isOutsideForWrite(gpa)) super.write64Parts(gpa, low, high);
    else outside.writeMmio(gpa, 8, low >>> 0, high >>> 0);
  }
}
