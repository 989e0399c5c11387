import { InvalidArgumentError, UnalignedAddressError } from '@minusone/core';
import { MemorySlotOverlapError, NoMemoryAtAddressError, PAGE_BYTES, PageFlag, ReadOnlyMemoryError } from '@minusone/memory';
import { Access } from '@minusone/mmu';
import { ForeignMemoryError, MemoryTooSmallError, SlotChangeError, SlotLimitError } from '../errors.ts';
import type { HostMemory } from '../host/host-memory.ts';
import { largePageAt, SecondStageTables } from '../mmu/second-stage.ts';
import type { GuestPhysical } from './guest-physical.ts';
import { FaultAnswer } from './vm-context.ts';

/** `struct kvm_userspace_memory_region` (api.rst, 4.35 KVM_SET_USER_MEMORY_REGION). */
export interface MemoryRegion {
  /** 0 to `checkExtension('KVM_CAP_NR_MEMSLOTS')` - 1. */
  readonly slot: number;
  readonly flags?: {
    /** KVM_MEM_LOG_DIRTY_PAGES. */
    readonly logDirtyPages?: boolean;
    /** KVM_MEM_READONLY: the guest's writes exit as `mmio`. */
    readonly readOnly?: boolean;
  };
  /** Bytes, a multiple of 4096. */
  readonly guestPhysAddr: number;
  /** Bytes, a multiple of 4096; 0 deletes the slot. */
  readonly memorySize: number;
  /** What backs it; not needed to delete. */
  readonly memory?: HostMemory;
  /** Where in `memory` it begins: bytes, a multiple of 4096. */
  readonly memoryOffset?: number;
}

/** `struct kvm_clear_dirty_log` (api.rst, 4.117 KVM_CLEAR_DIRTY_LOG). */
export interface DirtyLogRange {
  readonly slot: number;
  /** A multiple of 64. */
  readonly firstPage: number;
  /** A multiple of 64, unless the range ends where the slot does. */
  readonly numPages: number;
  /** A bit a page, lowest first, that of `firstPage` first. */
  readonly dirtyBitmap: Uint8Array;
}

/** Pages of a dirty log are cleared by so many at once. */
const LOG_WORD = 64;

/** KVM_USER_MEM_SLOTS. */
export const MEMORY_SLOTS = 32764;

/** Bytes of guest-physical memory that stand together in the host's. */
export interface HostRun {
  readonly hostOffset: number;
  readonly bytes: number;
}

interface Slot {
  readonly id: number;
  readonly gpa: number;
  readonly bytes: number;
  readonly hostOffset: number;
  readonly readOnly: boolean;
  readonly logDirty: boolean;
}

/** The memory slots of a VM: the guest-physical map that KVM sees, and the second stage that the guest's processor sees. */
export class KvmMemorySlots {
  readonly #physical: GuestPhysical;
  readonly #tables: SecondStageTables;
  readonly #slots = new Map<number, Slot>();
  /** Told after something that a guest may have cached was taken from it. */
  readonly #flush: () => void;
  #last: Slot | undefined;

  constructor(physical: GuestPhysical, tables: SecondStageTables, flush: () => void) {
    this.#physical = physical;
    this.#tables = tables;
    this.#flush = flush;
  }

  /** See `Vm.setUserMemoryRegion`. */
  set(region: MemoryRegion): void {
    const { slot: id, guestPhysAddr: gpa, memorySize: bytes, flags = {}, memoryOffset = 0 } = region;
    if (!Number.isInteger(id) || id < 0 || id >= MEMORY_SLOTS) throw new SlotLimitError(id, MEMORY_SLOTS);
    for (const [what, value] of [
      ['The guest-physical address', gpa],
      ['The slot size', bytes],
      ['The offset in its memory', memoryOffset],
    ] as const) {
      if (!Number.isSafeInteger(value) || value < 0) {
        throw new InvalidArgumentError(`${what} ${value} is not possible.`, 'Use a whole number of bytes, 0 or more.', { value });
      }
      if (value % PAGE_BYTES !== 0) throw new UnalignedAddressError(what, value, PAGE_BYTES);
    }
    const old = this.#slots.get(id);
    if (bytes === 0) {
      if (old === undefined)
        throw new InvalidArgumentError(`Memory slot ${id} is not there.`, 'Only a slot that was made can be deleted.', { slot: id });
      this.#remove(old);
      return;
    }
    if (gpa + bytes > SecondStageTables.REACH) {
      throw new InvalidArgumentError(`Memory slot ${id} ends past 2^48.`, 'The second stage has four levels.', { slot: id, gpa, bytes });
    }
    const memory = this.#memoryOf(region, old);
    const next: Slot = {
      id,
      gpa,
      bytes,
      hostOffset: memory,
      readOnly: flags.readOnly === true,
      logDirty: flags.logDirtyPages === true,
    };
    this.#checkChange(next, old);
    for (const other of this.#slots.values()) {
      if (other.id !== id && other.gpa < gpa + bytes && gpa < other.gpa + other.bytes) throw new MemorySlotOverlapError(next, other);
    }
    if (old === undefined) this.#physical.addSlot({ id, gpa, bytes, hostOffset: memory, readOnly: next.readOnly, logDirty: next.logDirty });
    else {
      this.#physical.changeSlot(id, { gpa, logDirty: next.logDirty });
      if (old.gpa !== gpa) this.#forget(old);
      else if (next.logDirty && !old.logDirty && this.#tables.protect(gpa, bytes)) this.#flush();
    }
    this.#slots.set(id, next);
    this.#last = undefined;
  }

  /** Host-physical address of what backs a region. */
  #memoryOf(region: MemoryRegion, old: Slot | undefined): number {
    const { slot, memory, memorySize, memoryOffset = 0 } = region;
    if (memory === undefined) {
      if (old !== undefined) return old.hostOffset;
      throw new InvalidArgumentError(`Memory slot ${slot} has nothing to back it.`, 'Give `memory`, from `kvm.allocateMemory`.', { slot });
    }
    if (memory.machine !== this.#physical.memory) throw new ForeignMemoryError();
    if (memoryOffset + memorySize > memory.bytes) throw new MemoryTooSmallError(slot, memoryOffset + memorySize, memory.bytes);
    return memory.hostOffset + memoryOffset;
  }

  /** api.rst, 4.35: a slot can move, and its log be turned on or off; nothing else. */
  #checkChange(next: Slot, old: Slot | undefined): void {
    if (old === undefined) return;
    if (next.bytes !== old.bytes) throw new SlotChangeError(next.id, 'size');
    if (next.hostOffset !== old.hostOffset) throw new SlotChangeError(next.id, 'memory');
    if (next.readOnly !== old.readOnly) throw new SlotChangeError(next.id, 'read-only flag');
  }

  #remove(slot: Slot): void {
    this.#physical.removeSlot(slot.id);
    this.#slots.delete(slot.id);
    this.#forget(slot);
  }
  #forget(slot: Slot): void {
    this.#last = undefined;
    if (this.#tables.unmap(slot.gpa, slot.bytes)) this.#flush();
  }

  /** The slot that holds a guest-physical address. */
  #at(gpa: number): Slot | undefined {
    const last = this.#last;
    if (last !== undefined && gpa >= last.gpa && gpa < last.gpa + last.bytes) return last;
    for (const slot of this.#slots.values()) {
      if (gpa < slot.gpa || gpa >= slot.gpa + slot.bytes) continue;
      this.#last = slot;
      return slot;
    }
    return undefined;
  }

  /** A page that the second stage refused is mapped now, if memory is there. `access`: `Access` flags. */
  resolve(gpa: number, access: number): FaultAnswer {
    const slot = this.#at(gpa);
    const flags = this.#physical.pageFlags(gpa);
    if (slot === undefined || (flags & PageFlag.MMIO) !== 0)
      return (access & Access.EXECUTE) !== 0 ? FaultAnswer.NO_CODE : FaultAnswer.DEVICE;
    const isWrite = (access & Access.WRITE) !== 0;
    if (slot.readOnly && isWrite) return FaultAnswer.DEVICE;
    const page = gpa - (gpa % PAGE_BYTES);
    const hpa = slot.hostOffset + (page - slot.gpa);
    if (slot.logDirty) {
      if (isWrite) this.#physical.markDirty(hpa);
      this.#tables.map(page, hpa, 1, isWrite);
      return FaultAnswer.MAPPED;
    }
    const large = largePageAt(gpa, slot.gpa, slot.bytes, slot.hostOffset);
    if (large >= 0 && !this.#hasDeviceNear(gpa)) this.#tables.map(gpa - (gpa % 2 ** 21), large, 2, !slot.readOnly);
    else this.#tables.map(page, hpa, 1, !slot.readOnly);
    return FaultAnswer.MAPPED;
  }
  #hasDeviceNear(gpa: number): boolean {
    const first = gpa - (gpa % 2 ** 21);
    return this.#physical.mmioRegions().some((region) => region.gpa < first + 2 ** 21 && first < region.gpa + region.bytes);
  }

  /**
   * Where bytes of guest-physical memory stand in the host's, in order: what slots say, whatever device a guest has put over them.
   * @throws {NoMemoryAtAddressError} no slot has one of them; {ReadOnlyMemoryError} `toWrite`, and a read-only one has
   */
  hostRuns(gpa: number, length: number, toWrite: boolean): HostRun[] {
    if (!Number.isSafeInteger(gpa) || !Number.isSafeInteger(length) || gpa < 0 || length < 0) {
      throw new InvalidArgumentError(`${length} bytes at ${gpa} are not possible.`, 'Both are whole numbers, 0 or more.', { gpa, length });
    }
    const runs: HostRun[] = [];
    for (let at = gpa; at < gpa + length; ) {
      const slot = this.#at(at);
      if (slot === undefined) throw new NoMemoryAtAddressError(gpa, length, at);
      if (toWrite && slot.readOnly) throw new ReadOnlyMemoryError(gpa, length, at);
      const bytes = Math.min(gpa + length, slot.gpa + slot.bytes) - at;
      runs.push({ hostOffset: slot.hostOffset + (at - slot.gpa), bytes });
      at += bytes;
    }
    return runs;
  }

  /** A device of the kernel was put at a page (or taken from it): what the guest has cached of it goes. */
  deviceMoved(gpa: number): void {
    if (this.#tables.unmap(gpa - (gpa % PAGE_BYTES), PAGE_BYTES)) this.#flush();
  }

  /** See `Vm.getDirtyLog`. */
  getDirtyLog(id: number, clear: boolean): Uint8Array {
    const bitmap = this.#physical.getDirtyLog(id);
    const slot = this.#slots.get(id);
    if (clear && slot !== undefined) {
      this.#physical.clearDirtyLog(id);
      if (this.#tables.protect(slot.gpa, slot.bytes)) this.#flush();
    }
    return bitmap;
  }

  /** See `Vm.clearDirtyLog`. */
  clearDirtyRange(range: DirtyLogRange): void {
    const { slot: id, firstPage, numPages, dirtyBitmap } = range;
    // That there is such a log.
    this.#physical.getDirtyLog(id);
    const slot = this.#slots.get(id) as Slot;
    checkRange(range, slot.bytes / PAGE_BYTES);
    let changed = false;
    for (let n = 0; n < numPages; n++) {
      if ((((dirtyBitmap[n >>> 3] as number) >>> (n & 7)) & 1) === 0) continue;
      const page = firstPage + n;
      this.#physical.clearDirtyLog(id, page, 1);
      if (this.#tables.protect(slot.gpa + page * PAGE_BYTES, PAGE_BYTES)) changed = true;
    }
    if (changed) this.#flush();
  }
}

function checkRange({ slot, firstPage, numPages, dirtyBitmap }: DirtyLogRange, slotPages: number): void {
  const refuse = (message: string, hint: string): never => {
    throw new InvalidArgumentError(message, hint, { slot, firstPage, numPages });
  };
  if (firstPage % LOG_WORD !== 0 || firstPage < 0)
    refuse(`Page ${firstPage} cannot be the first of a range.`, `Use a multiple of ${LOG_WORD}.`);
  if (!Number.isInteger(numPages) || numPages < 0 || firstPage + numPages > slotPages) {
    refuse(`${numPages} pages from page ${firstPage} leave the slot.`, `Memory slot ${slot} has ${slotPages} pages.`);
  }
  if (numPages % LOG_WORD !== 0 && firstPage + numPages !== slotPages) {
    refuse(`A range of ${numPages} pages ends within the slot.`, `Use a multiple of ${LOG_WORD}, or end where the slot does.`);
  }
  if (dirtyBitmap.length * 8 < numPages) {
    refuse(`A bitmap of ${dirtyBitmap.length} bytes is too short for ${numPages} pages.`, `It takes ${Math.ceil(numPages / 8)}.`);
  }
}
