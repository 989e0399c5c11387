import { InvalidArgumentError, type MmioDevice } from '@minusone/core';
import type { MachineMemory } from './machine-memory.ts';
import { type MemorySlot, type MemorySlotChange, MemorySlots } from './memory-slots.ts';
import { MmioMap, type MmioRegion } from './mmio-map.ts';
import type { MemoryObserver } from './observer.ts';
import { PageFlag, PLAIN_READ_MASK } from './page-flags.ts';
import { PageMap, pageEntry } from './page-map.ts';
import type { PageMarks } from './page-marks.ts';

/**
 * What stands at which guest-physical address: slots of RAM and ROM, MMIO regions over them, and what is known of their
 * pages. Accesses are the business of `PhysicalAddressSpace`.
 */
export class AddressMap {
  readonly memory: MachineMemory;
  /** Code marks and dirty marks, by offset in the linear memory. */
  readonly marks: PageMarks;
  protected readonly pages: PageMap = new PageMap();
  protected readonly mmio: MmioMap = new MmioMap();
  readonly #hostFlags: Uint8Array;
  readonly #slots: MemorySlots;
  #observer: MemoryObserver | undefined;
  #byteLength = 0;

  constructor(memory: MachineMemory) {
    this.memory = memory;
    this.marks = memory.marks;
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

  /** Bytes of RAM that stand without a gap from address 0 (up to the first hole or ROM; MMIO over RAM does not count as a gap). */
  get byteLength(): number {
    return this.#byteLength;
  }

  // MMIO

  /**
   * Puts a device at any range of addresses, over RAM if need be.
   * @throws {MmioOverlapError} another device stands there
   * @throws {InvalidArgumentError} empty, or not within 0 to 2^52 - 1
   */
  mapMmio(gpa: number, bytes: number, device: MmioDevice): MmioRegion {
    const region = this.mmio.map(gpa, bytes, device);
    this.#remapUnder(region);
    return region;
  }

  /** @throws {NotMappedError} the region is not mapped here */
  unmapMmio(region: MmioRegion): void {
    this.mmio.unmap(region);
    this.#remapUnder(region);
  }

  /** The MMIO regions, in order of address. */
  mmioRegions(): readonly MmioRegion[] {
    return [...this.mmio.regions];
  }

  // Pages

  /** The offset in the linear memory of the RAM or ROM page that holds `gpa`, a multiple of 4096; -1 where MMIO or nothing stands. */
  hostPage(gpa: number): number {
    const entry = this.pages.entry(gpa);
    return (entry & PLAIN_READ_MASK) === PageFlag.RAM ? (entry >>> 8) * 4096 : -1;
  }

  /** The bits of `PageFlag` for the page that holds `gpa`; 0 for a hole. */
  pageFlags(gpa: number): number {
    const entry = this.pages.entry(gpa);
    if (entry === 0) return this.mmio.firstTouching(gpa - (gpa % 4096), 4096) === undefined ? 0 : PageFlag.MMIO;
    return (entry & 0xff) | this.#hostFlags[entry >>> 8]!;
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

  /** To be called after bytes were stored past this class (through a view, or by Wasm): marks dirty, reports code written. Pages may be several. */
  written(hostOffset: number, bytes: number): void {
    this.marks.written(hostOffset, bytes);
  }

  // Mapping

  #mapPages(slot: Required<MemorySlot>, from: number = slot.gpa, to: number = slot.gpa + slot.bytes): void {
    for (let gpa = from; gpa < to; gpa += 4096) {
      const mmio = this.mmio.firstTouching(gpa, 4096) !== undefined;
      this.pages.set(gpa, pageEntry(slot.hostOffset + (gpa - slot.gpa), slot.readOnly, mmio));
    }
  }

  #unmapPages(slot: Required<MemorySlot>): void {
    for (let gpa = slot.gpa; gpa < slot.gpa + slot.bytes; gpa += 4096) this.pages.set(gpa, 0);
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
