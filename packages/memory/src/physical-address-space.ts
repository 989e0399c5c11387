import { type AccessSize, type GuestMemory, InvalidArgumentError, type MmioDevice } from '@minusone/core';
import { NoMemoryAtAddressError, ReadOnlyMemoryError } from './errors.ts';
import type { MachineMemory } from './machine-memory.ts';
import { type MemorySlot, type MemorySlotChange, MemorySlots } from './memory-slots.ts';
import { MmioMap, type MmioRegion } from './mmio-map.ts';
import type { MemoryObserver } from './observer.ts';
import { PageFlag } from './page-flags.ts';
import { PageMap, pageEntry } from './page-map.ts';
import type { PageMarks } from './page-marks.ts';

const PLAIN_READ_MASK = PageFlag.RAM | PageFlag.MMIO;

/**
 * A guest-physical address space: slots of RAM and ROM, and MMIO regions over them. Where both stand, MMIO wins, byte by
 * byte (an APIC page over RAM); such a page has no `hostPage`.
 *
 * Guest-physical addresses are Numbers in bytes, 0 to 2^52 - 1. Typed accesses are little-endian, may be unaligned, and never
 * throw: a hole reads all ones, writes to a hole or to ROM are dropped. An access that leaves its page or its MMIO region
 * is made byte by byte, lowest first.
 */
export class PhysicalAddressSpace implements GuestMemory {
  readonly memory: MachineMemory;
  /** Code marks and dirty marks, by offset in the linear memory. */
  readonly marks: PageMarks;
  /** The high half of the last `read64Lo`, unsigned. */
  hi = 0;
  readonly #view: DataView;
  readonly #u8: Uint8Array;
  readonly #hostFlags: Uint8Array;
  readonly #pages = new PageMap();
  readonly #slots: MemorySlots;
  readonly #mmio = new MmioMap();
  #observer: MemoryObserver | undefined;
  #byteLength = 0;

  constructor(memory: MachineMemory) {
    this.memory = memory;
    this.marks = memory.marks;
    this.#view = memory.view;
    this.#u8 = memory.u8;
    this.#hostFlags = memory.marks.pageFlags;
    this.#slots = new MemorySlots(memory);
  }

  /** Who hears of stale translations and code: one listener, the engine. `undefined` removes it. */
  get observer(): MemoryObserver | undefined {
    return this.#observer;
  }

  set observer(observer: MemoryObserver | undefined) {
    if (this.#observer !== undefined) this.marks.unobserve(this.#observer);
    this.#observer = observer;
    if (observer !== undefined) this.marks.observe(observer);
  }

  // Slots

  /**
   * Adds a slot.
   * @throws {UnalignedAddressError} an address or size is not a multiple of 4096; names the next that is
   * @throws {DuplicateMemorySlotError} the id is taken
   * @throws {MemorySlotOverlapError} names both slots with their ranges
   * @throws {MemorySlotOutOfRamError} what should back it is not RAM of the machine memory
   * @throws {InvalidArgumentError} negative, fractional, empty, or past 2^52
   * @example
   * space.addSlot({ id: 0, gpa: 0, bytes: 640 * 1024, hostOffset: memory.ramOffset });
   */
  addSlot(slot: MemorySlot): void {
    this.#mapPages(this.#slots.add(slot));
    this.#mappingChanged();
  }

  /** @throws {UnknownMemorySlotError} */
  removeSlot(id: number): void {
    this.#unmapPages(this.#slots.remove(id));
    this.#mappingChanged();
  }

  /** Moves a slot, makes it ROM or RAM, or turns its log on or off; its size stays. Throws as `addSlot`, and then changes nothing. */
  changeSlot(id: number, change: MemorySlotChange): void {
    const { before, after } = this.#slots.change(id, change);
    this.#unmapPages(before);
    this.#mapPages(after);
    this.#mappingChanged();
  }

  /** The slots, in order of guest-physical address. */
  slots(): readonly Required<MemorySlot>[] {
    return this.#slots.list();
  }

  // MMIO

  /**
   * Puts a device at any range of addresses, over RAM if need be.
   * @throws {MmioOverlapError} another device stands there
   * @throws {InvalidArgumentError} empty, or not within 0 to 2^52 - 1
   */
  mapMmio(gpa: number, bytes: number, device: MmioDevice): MmioRegion {
    const region = this.#mmio.map(gpa, bytes, device);
    this.#remapUnder(region);
    return region;
  }

  /** @throws {NotMappedError} the region is not mapped here */
  unmapMmio(region: MmioRegion): void {
    this.#mmio.unmap(region);
    this.#remapUnder(region);
  }

  /** The MMIO regions, in order of address. */
  mmioRegions(): readonly MmioRegion[] {
    return [...this.#mmio.regions];
  }

  // Pages

  /** The offset in the linear memory of the RAM or ROM page that holds `gpa`, a multiple of 4096; -1 where MMIO or nothing stands. */
  hostPage(gpa: number): number {
    const entry = this.#pages.entry(gpa);
    return (entry & PLAIN_READ_MASK) === PageFlag.RAM ? (entry >>> 8) * 4096 : -1;
  }

  /** The bits of `PageFlag` for the page that holds `gpa`; 0 for a hole. */
  pageFlags(gpa: number): number {
    const entry = this.#pages.entry(gpa);
    if (entry === 0) return this.#mmio.firstTouching(gpa - (gpa % 4096), 4096) === undefined ? 0 : PageFlag.MMIO;
    return (entry & 0xff) | this.#hostFlags[entry >>> 8]!;
  }

  // Typed reads

  read8(gpa: number): number {
    const entry = this.#pages.entry(gpa);
    if ((entry & PLAIN_READ_MASK) === PageFlag.RAM) return this.#u8[(entry >>> 8) * 4096 + (gpa & 4095)]!;
    const region = this.#mmio.find(gpa);
    if (region !== undefined) return region.device.readMmio(gpa - region.gpa, 1) & 0xff;
    return entry === 0 ? 0xff : this.#u8[(entry >>> 8) * 4096 + (gpa & 4095)]!;
  }

  read16(gpa: number): number {
    const entry = this.#pages.entry(gpa);
    const offset = gpa & 4095;
    if ((entry & PLAIN_READ_MASK) === PageFlag.RAM && offset <= 4094) return this.#view.getUint16((entry >>> 8) * 4096 + offset, true);
    const region = this.#regionOfWhole(gpa, 2);
    if (region !== undefined) return region.device.readMmio(gpa - region.gpa, 2) & 0xffff;
    return this.read8(gpa) | (this.read8(gpa + 1) << 8);
  }

  /** Unsigned. */
  read32(gpa: number): number {
    const entry = this.#pages.entry(gpa);
    const offset = gpa & 4095;
    if ((entry & PLAIN_READ_MASK) === PageFlag.RAM && offset <= 4092) return this.#view.getUint32((entry >>> 8) * 4096 + offset, true);
    const region = this.#regionOfWhole(gpa, 4);
    if (region !== undefined) return region.device.readMmio(gpa - region.gpa, 4) >>> 0;
    return this.#readBytes(gpa, 4);
  }

  /** One 8-byte read without BigInt: returns the low half, unsigned, and leaves the high half in `hi`. */
  read64Lo(gpa: number): number {
    const entry = this.#pages.entry(gpa);
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
    const entry = this.#pages.entry(gpa);
    if ((entry & PageFlag.WRITABLE) === 0) {
      const region = this.#mmio.find(gpa);
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
    const entry = this.#pages.entry(gpa);
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
    const entry = this.#pages.entry(gpa);
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
    const entry = this.#pages.entry(gpa);
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

  /** Bytes of RAM that stand without a gap from address 0 (up to the first hole or ROM; MMIO over RAM does not count as a gap). */
  get byteLength(): number {
    return this.#byteLength;
  }

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

  /** To be called after bytes were stored past this class (through a view, or by Wasm): marks dirty, reports code written. Pages may be several. */
  written(hostOffset: number, bytes: number): void {
    this.marks.written(hostOffset, bytes);
  }

  // Dirty log

  /** Starts the log of a slot, all pages clean. Nothing happens if it is on. @throws {UnknownMemorySlotError} */
  enableDirtyLog(id: number): void {
    this.#slots.enableDirtyLog(id);
  }

  /** Ends the log of a slot and forgets it. Nothing happens if it is off. @throws {UnknownMemorySlotError} */
  disableDirtyLog(id: number): void {
    this.#slots.disableDirtyLog(id);
  }

  /**
   * A copy of a slot's dirty bitmap: bit n is page n, bit 0 of byte 0 the first. Nothing is cleared: that is `clearDirtyLog`'s
   * part, as with `KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2` (KVM API: `KVM_GET_DIRTY_LOG`, 4.8; `KVM_CLEAR_DIRTY_LOG`, 4.117).
   * Two slots over one host page both see its writes.
   * @throws {DirtyLogOffError}
   * @throws {UnknownMemorySlotError}
   */
  getDirtyLog(id: number): Uint8Array {
    return this.#slots.dirtyLog(id).bitmap();
  }

  /**
   * Makes pages of a slot clean again, and protects them: the next write to each is seen. Without a range, all.
   * @throws {DirtyLogOffError}
   * @throws {UnknownMemorySlotError}
   * @throws {InvalidArgumentError} the range leaves the slot
   */
  clearDirtyLog(id: number, firstPage = 0, count?: number): void {
    const log = this.#slots.dirtyLog(id);
    const pages = count ?? log.pages - firstPage;
    if (!Number.isInteger(firstPage) || !Number.isInteger(pages) || firstPage < 0 || pages < 0 || firstPage + pages > log.pages) {
      throw new InvalidArgumentError(`Slot ${id} has no ${pages} pages from page ${firstPage}.`, `It has ${log.pages} pages.`, {
        id,
        firstPage,
        count: pages,
      });
    }
    log.clear(firstPage, pages);
    this.marks.protect(log, firstPage, pages);
  }

  /** Marks the page at `hostPage` dirty, wherever it is logged. */
  markDirty(hostPage: number): void {
    this.marks.markDirty(hostPage);
  }

  // Code marks (by offset in the linear memory, in granules of 64 bytes)

  /** Marks the granules that the bytes touch. */
  markCode(hostOffset: number, bytes: number): void {
    this.marks.markCode(hostOffset, bytes);
  }

  /** Whether the page at `hostPage` bears any code mark. */
  hasCode(hostPage: number): boolean {
    return this.marks.hasCode(hostPage);
  }

  /** Whether the bytes touch a marked granule. */
  codeTouches(hostOffset: number, bytes: number): boolean {
    return this.marks.codeTouches(hostOffset, bytes);
  }

  /** Clears the code marks of the page at `hostPage`. */
  clearCode(hostPage: number): void {
    this.marks.clearCode(hostPage);
  }

  // Slow paths

  /** The region that takes the access as one: all its bytes are in the region, and in one page. */
  #regionOfWhole(gpa: number, size: number): MmioRegion | undefined {
    const region = this.#mmio.find(gpa);
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
    return (this.#pages.entry(gpa) >>> 8) * 4096 + (gpa & 4095);
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
      const entry = at < 2 ** 52 ? this.#pages.entry(at) : 0;
      if (entry === 0) throw new NoMemoryAtAddressError(gpa, length, at);
      if (toWrite && (entry & PageFlag.ROM) !== 0) throw new ReadOnlyMemoryError(gpa, length, at);
      if ((entry & PageFlag.MMIO) === 0) continue;
      const region = this.#mmio.firstTouching(at, Math.min(end, at - (at % 4096) + 4096) - at);
      if (region !== undefined) throw new NoMemoryAtAddressError(gpa, length, Math.max(at, region.gpa));
    }
  }

  // Mapping

  #mapPages(slot: Required<MemorySlot>, from: number = slot.gpa, to: number = slot.gpa + slot.bytes): void {
    for (let gpa = from; gpa < to; gpa += 4096) {
      const mmio = this.#mmio.firstTouching(gpa, 4096) !== undefined;
      this.#pages.set(gpa, pageEntry(slot.hostOffset + (gpa - slot.gpa), slot.readOnly, mmio));
    }
  }

  #unmapPages(slot: Required<MemorySlot>): void {
    for (let gpa = slot.gpa; gpa < slot.gpa + slot.bytes; gpa += 4096) this.#pages.set(gpa, 0);
  }

  #remapUnder(region: MmioRegion): void {
    const first = region.gpa - (region.gpa % 4096);
    const end = region.gpa + region.bytes;
    for (const slot of this.#slots.list()) {
      this.#mapPages(slot, Math.max(first, slot.gpa), Math.min(end, slot.gpa + slot.bytes));
    }
    this.#mappingChanged();
  }

  #mappingChanged(): void {
    let end = 0;
    for (const slot of this.#slots.list()) {
      if (slot.gpa !== end || slot.readOnly) break;
      end += slot.bytes;
    }
    this.#byteLength = end;
    this.#observer?.onMappingChanged();
  }
}
