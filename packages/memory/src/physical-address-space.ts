import { type AccessSize, type GuestMemory, InvalidArgumentError } from '@minusone/core';
import { AddressMap } from './address-map.ts';
import { NoMemoryAtAddressError, ReadOnlyMemoryError } from './errors.ts';
import type { MachineMemory } from './machine-memory.ts';
import type { MmioRegion } from './mmio-map.ts';
import { PageFlag, PLAIN_READ_MASK } from './page-flags.ts';

/**
 * A guest-physical address space: slots of RAM and ROM, and MMIO regions over them. Where both stand, MMIO wins, byte by
 * byte (an APIC page over RAM); such a page has no `hostPage`.
 *
 * Guest-physical addresses are Numbers in bytes, 0 to 2^52 - 1. Typed accesses are little-endian, may be unaligned, and never
 * throw: a hole reads all ones, writes to a hole or to ROM are dropped. An access that leaves its page or its MMIO region
 * is made byte by byte, lowest first.
 */
export class PhysicalAddressSpace extends AddressMap implements GuestMemory {
  /** The high half of the last `read64Lo`, unsigned. */
  hi = 0;
  readonly #view: DataView;
  readonly #u8: Uint8Array;
  readonly #hostFlags: Uint8Array;

  constructor(memory: MachineMemory) {
    super(memory);
    this.#view = memory.view;
    this.#u8 = memory.u8;
    this.#hostFlags = memory.marks.pageFlags;
  }

  // Typed reads

  read8(gpa: number): number {
    const entry = this.pages.entry(gpa);
    if ((entry & PLAIN_READ_MASK) === PageFlag.RAM) return this.#u8[(entry >>> 8) * 4096 + (gpa & 4095)]!;
    const region = this.mmio.find(gpa);
    if (region !== undefined) return region.device.readMmio(gpa - region.gpa, 1) & 0xff;
    return entry === 0 ? 0xff : this.#u8[(entry >>> 8) * 4096 + (gpa & 4095)]!;
  }

  read16(gpa: number): number {
    const entry = this.pages.entry(gpa);
    const offset = gpa & 4095;
    if ((entry & PLAIN_READ_MASK) === PageFlag.RAM && offset <= 4094) return this.#view.getUint16((entry >>> 8) * 4096 + offset, true);
    const region = this.#regionOfWhole(gpa, 2);
    if (region !== undefined) return region.device.readMmio(gpa - region.gpa, 2) & 0xffff;
    return this.read8(gpa) | (this.read8(gpa + 1) << 8);
  }

  /** Unsigned. */
  read32(gpa: number): number {
    const entry = this.pages.entry(gpa);
    const offset = gpa & 4095;
    if ((entry & PLAIN_READ_MASK) === PageFlag.RAM && offset <= 4092) return this.#view.getUint32((entry >>> 8) * 4096 + offset, true);
    const region = this.#regionOfWhole(gpa, 4);
    if (region !== undefined) return region.device.readMmio(gpa - region.gpa, 4) >>> 0;
    return this.#readBytes(gpa, 4);
  }

  /** One 8-byte read without BigInt: returns the low half, unsigned, and leaves the high half in `hi`. */
  read64Lo(gpa: number): number {
    const entry = this.pages.entry(gpa);
    const offset = gpa & 4095;
    if ((entry & PLAIN_READ_MASK) === PageFlag.RAM && offset <= 4088) {
      const host = (entry >>> 8) * 4096 + offset;
      this.hi = this.#view.getUint32(host + 4, true);
      return this.#view.getUint32(host, true);
    }
    return this.#read64Slow(gpa);
  }

  read64(gpa: number): bigint {
    const lo = this.read64Lo(gpa);
    return (BigInt(this.hi) << 32n) | BigInt(lo);
  }

  // Typed writes

  write8(gpa: number, value: number): void {
    const entry = this.pages.entry(gpa);
    if ((entry & PageFlag.WRITABLE) === 0) {
      const region = this.mmio.find(gpa);
      if (region !== undefined) {
        region.device.writeMmio(gpa - region.gpa, 1, value & 0xff);
        return;
      }
      if ((entry & (PageFlag.RAM | PageFlag.ROM)) !== PageFlag.RAM) return;
    }
    const host = (entry >>> 8) * 4096 + (gpa & 4095);
    this.#u8[host] = value;
    if (this.#hostFlags[host >>> 12] !== 0) this.marks.written(host, 1);
  }

  write16(gpa: number, value: number): void {
    const entry = this.pages.entry(gpa);
    const offset = gpa & 4095;
    if ((entry & PageFlag.WRITABLE) !== 0 && offset <= 4094) {
      const host = (entry >>> 8) * 4096 + offset;
      this.#view.setUint16(host, value, true);
      if (this.#hostFlags[host >>> 12] !== 0) this.marks.written(host, 2);
      return;
    }
    const region = this.#regionOfWhole(gpa, 2);
    if (region !== undefined) region.device.writeMmio(gpa - region.gpa, 2, value & 0xffff);
    else this.#writeBytes(gpa, 2, value);
  }

  write32(gpa: number, value: number): void {
    const entry = this.pages.entry(gpa);
    const offset = gpa & 4095;
    if ((entry & PageFlag.WRITABLE) !== 0 && offset <= 4092) {
      const host = (entry >>> 8) * 4096 + offset;
      this.#view.setUint32(host, value, true);
      if (this.#hostFlags[host >>> 12] !== 0) this.marks.written(host, 4);
      return;
    }
    const region = this.#regionOfWhole(gpa, 4);
    if (region !== undefined) region.device.writeMmio(gpa - region.gpa, 4, value >>> 0);
    else this.#writeBytes(gpa, 4, value);
  }

  /** One 8-byte write without BigInt, from its two halves. */
  write64Parts(gpa: number, lo: number, hi: number): void {
    const entry = this.pages.entry(gpa);
    const offset = gpa & 4095;
    if ((entry & PageFlag.WRITABLE) !== 0 && offset <= 4088) {
      const host = (entry >>> 8) * 4096 + offset;
      this.#view.setUint32(host, lo, true);
      this.#view.setUint32(host + 4, hi, true);
      if (this.#hostFlags[host >>> 12] !== 0) this.marks.written(host, 8);
      return;
    }
    this.#write64Slow(gpa, lo, hi);
  }

  write64(gpa: number, value: bigint): void {
    this.write64Parts(gpa, Number(value & 0xffff_ffffn), Number((value >> 32n) & 0xffff_ffffn));
  }

  // Host code: GuestMemory

  /**
   * Copies out bytes of RAM or ROM.
   * @throws {NoMemoryAtAddressError} a hole or MMIO stands at one of them
   */
  read(gpa: number, length: number): Uint8Array {
    this.#requireMemory(gpa, length, false);
    const bytes = new Uint8Array(length);
    for (let at = 0; at < length; ) {
      const host = this.#hostOffset(gpa + at);
      const count = Math.min(length - at, 4096 - (host & 4095));
      bytes.set(this.#u8.subarray(host, host + count), at);
      at += count;
    }
    return bytes;
  }

  /**
   * Copies bytes into RAM, as a device's DMA: marks dirty and reports code written. Writes all or, if it throws, nothing.
   * @throws {NoMemoryAtAddressError} a hole or MMIO stands at one of them
   * @throws {ReadOnlyMemoryError} ROM stands at one of them
   */
  write(gpa: number, bytes: Uint8Array): void {
    this.#requireMemory(gpa, bytes.length, true);
    this.#copyIn(gpa, bytes);
  }

  /**
   * As `write`, and into ROM too: how an image gets there.
   * @throws {NoMemoryAtAddressError} a hole or MMIO stands at one of them
   */
  load(gpa: number, bytes: Uint8Array): void {
    this.#requireMemory(gpa, bytes.length, false);
    this.#copyIn(gpa, bytes);
  }

  // Slow paths

  /** The region that takes the access as one: all its bytes are in the region, and in one page. */
  #regionOfWhole(gpa: number, size: number): MmioRegion | undefined {
    const region = this.mmio.find(gpa);
    if (region === undefined || gpa + size > region.gpa + region.bytes || (gpa & 4095) + size > 4096) return undefined;
    return region;
  }

  #readBytes(gpa: number, size: AccessSize): number {
    let value = 0;
    for (let byte = 0; byte < size; byte++) value |= this.read8(gpa + byte) << (8 * byte);
    return value >>> 0;
  }

  #writeBytes(gpa: number, size: AccessSize, value: number): void {
    for (let byte = 0; byte < size; byte++) this.write8(gpa + byte, (value >>> (8 * byte)) & 0xff);
  }

  #read64Slow(gpa: number): number {
    const region = this.#regionOfWhole(gpa, 8);
    if (region === undefined) {
      const lo = this.#readBytes(gpa, 4);
      this.hi = this.#readBytes(gpa + 4, 4);
      return lo;
    }
    const { device } = region;
    const offset = gpa - region.gpa;
    if (device.readMmio64 !== undefined) {
      const value = device.readMmio64(offset);
      this.hi = Number((value >> 32n) & 0xffff_ffffn);
      return Number(value & 0xffff_ffffn);
    }
    const lo = device.readMmio(offset, 4) >>> 0;
    this.hi = device.readMmio(offset + 4, 4) >>> 0;
    return lo;
  }

  #write64Slow(gpa: number, lo: number, hi: number): void {
    const region = this.#regionOfWhole(gpa, 8);
    if (region === undefined) {
      this.#writeBytes(gpa, 4, lo);
      this.#writeBytes(gpa + 4, 4, hi);
      return;
    }
    const { device } = region;
    const offset = gpa - region.gpa;
    if (device.writeMmio64 !== undefined) {
      device.writeMmio64(offset, (BigInt(hi >>> 0) << 32n) | BigInt(lo >>> 0));
      return;
    }
    device.writeMmio(offset, 4, lo >>> 0);
    device.writeMmio(offset + 4, 4, hi >>> 0);
  }

  #hostOffset(gpa: number): number {
    return (this.pages.entry(gpa) >>> 8) * 4096 + (gpa & 4095);
  }

  #copyIn(gpa: number, bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; ) {
      const host = this.#hostOffset(gpa + at);
      const count = Math.min(bytes.length - at, 4096 - (host & 4095));
      this.#u8.set(bytes.subarray(at, at + count), host);
      if (this.#hostFlags[host >>> 12] !== 0) this.marks.written(host, count);
      at += count;
    }
  }

  #requireMemory(gpa: number, length: number, toWrite: boolean): void {
    if (!Number.isSafeInteger(gpa) || !Number.isSafeInteger(length) || gpa < 0 || length < 0) {
      throw new InvalidArgumentError(`${length} bytes at ${gpa} are not possible.`, 'Both are whole numbers, 0 or more.', { gpa, length });
    }
    const end = gpa + length;
    for (let at = gpa; at < end; at += 4096 - (at % 4096)) {
      const entry = at < 2 ** 52 ? this.pages.entry(at) : 0;
      if (entry === 0) throw new NoMemoryAtAddressError(gpa, length, at);
      if (toWrite && (entry & PageFlag.ROM) !== 0) throw new ReadOnlyMemoryError(gpa, length, at);
      if ((entry & PageFlag.MMIO) === 0) continue;
      const region = this.mmio.firstTouching(at, Math.min(end, at - (at % 4096) + 4096) - at);
      if (region !== undefined) throw new NoMemoryAtAddressError(gpa, length, Math.max(at, region.gpa));
    }
  }
}
