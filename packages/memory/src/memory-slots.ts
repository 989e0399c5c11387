import { InvalidArgumentError, UnalignedAddressError } from '@minusone/core';
import { DirtyLog } from './dirty-log.ts';
import {
  DirtyLogOffError,
  DuplicateMemorySlotError,
  MemorySlotOutOfRamError,
  MemorySlotOverlapError,
  UnknownMemorySlotError,
} from './errors.ts';
import type { MachineMemory } from './machine-memory.ts';

/** A range of guest-physical addresses backed by RAM of the linear memory (KVM API: `struct kvm_userspace_memory_region`). */
export interface MemorySlot {
  /** A whole number, 0 or more. */
  readonly id: number;
  /** First guest-physical address: bytes, a multiple of 4096. */
  readonly gpa: number;
  /** Size: bytes, a multiple of 4096, at least 4096. */
  readonly bytes: number;
  /** What backs it: offset in the linear memory, a multiple of 4096, within RAM. Two slots may share it. */
  readonly hostOffset: number;
  /** ROM: the guest's writes are dropped. False by default. */
  readonly readOnly?: boolean;
  /** Keep a dirty log (`enableDirtyLog`). False by default. */
  readonly logDirty?: boolean;
}

/** What `changeSlot` may change; as in KVM, the size is not among it. */
export type MemorySlotChange = Partial<Pick<MemorySlot, 'gpa' | 'hostOffset' | 'readOnly' | 'logDirty'>>;

interface SlotRecord {
  slot: Required<MemorySlot>;
  log: DirtyLog | undefined;
}

/** The slots of an address space and their dirty logs. It knows nothing of pages' entries: whoever owns it maps them. */
export class MemorySlots {
  readonly #memory: MachineMemory;
  readonly #records = new Map<number, SlotRecord>();

  constructor(memory: MachineMemory) {
    this.#memory = memory;
  }

  /** In order of guest-physical address. */
  list(): Required<MemorySlot>[] {
    return [...this.#records.values()].map((record) => record.slot).sort((a, b) => a.gpa - b.gpa);
  }

  get(id: number): Required<MemorySlot> {
    return this.#record(id).slot;
  }

  add(slot: MemorySlot): Required<MemorySlot> {
    const whole: Required<MemorySlot> = {
      id: slot.id,
      gpa: slot.gpa,
      bytes: slot.bytes,
      hostOffset: slot.hostOffset,
      readOnly: slot.readOnly ?? false,
      logDirty: slot.logDirty ?? false,
    };
    if (!Number.isSafeInteger(whole.id) || whole.id < 0) {
      throw new InvalidArgumentError(`The slot id ${whole.id} is not possible.`, 'Use a whole number, 0 or more.', { id: whole.id });
    }
    if (this.#records.has(whole.id)) throw new DuplicateMemorySlotError(whole.id);
    this.#check(whole);
    this.#records.set(whole.id, { slot: whole, log: undefined });
    if (whole.logDirty) this.enableDirtyLog(whole.id);
    return whole;
  }

  remove(id: number): Required<MemorySlot> {
    const record = this.#record(id);
    if (record.log !== undefined) this.#memory.marks.removeLog(record.log);
    this.#records.delete(id);
    return record.slot;
  }

  /** Returns the slot before and after. Nothing changes if it throws. A log survives unless `hostOffset` or `logDirty` changes. */
  change(id: number, change: MemorySlotChange): { before: Required<MemorySlot>; after: Required<MemorySlot> } {
    const record = this.#record(id);
    const before = record.slot;
    const after: Required<MemorySlot> = {
      ...before,
      gpa: change.gpa ?? before.gpa,
      hostOffset: change.hostOffset ?? before.hostOffset,
      readOnly: change.readOnly ?? before.readOnly,
    };
    this.#check(after);
    const logDirty = change.logDirty ?? before.logDirty;
    if (before.logDirty && (!logDirty || after.hostOffset !== before.hostOffset)) this.disableDirtyLog(id);
    record.slot = { ...after, logDirty: record.log !== undefined };
    if (logDirty) this.enableDirtyLog(id);
    return { before, after: record.slot };
  }

  enableDirtyLog(id: number): void {
    const record = this.#record(id);
    if (record.log !== undefined) return;
    record.log = new DirtyLog(record.slot.hostOffset, record.slot.bytes / 4096);
    record.slot = { ...record.slot, logDirty: true };
    this.#memory.marks.addLog(record.log);
  }

  disableDirtyLog(id: number): void {
    const record = this.#record(id);
    if (record.log === undefined) return;
    this.#memory.marks.removeLog(record.log);
    record.log = undefined;
    record.slot = { ...record.slot, logDirty: false };
  }

  dirtyLog(id: number): DirtyLog {
    const { log } = this.#record(id);
    if (log === undefined) throw new DirtyLogOffError(id);
    return log;
  }

  #record(id: number): SlotRecord {
    const record = this.#records.get(id);
    if (record === undefined) throw new UnknownMemorySlotError(id, [...this.#records.keys()]);
    return record;
  }

  #check(slot: Required<MemorySlot>): void {
    const { gpa, bytes, hostOffset } = slot;
    for (const [what, value] of [
      ['The guest-physical address', gpa],
      ['The slot size', bytes],
      ['The host offset', hostOffset],
    ] as const) {
      if (!Number.isSafeInteger(value) || value < 0) {
        throw new InvalidArgumentError(`${what} ${value} is not possible.`, 'Use a whole number of bytes, 0 or more.', { value });
      }
      if (value % 4096 !== 0) throw new UnalignedAddressError(what, value, 4096);
    }
    if (bytes === 0)
      throw new InvalidArgumentError(`Slot ${slot.id} is empty.`, 'A slot has at least one page of 4096 bytes.', { ...slot });
    if (gpa + bytes > 2 ** 52) {
      throw new InvalidArgumentError(`Slot ${slot.id} ends past 2^52.`, 'Guest-physical addresses have at most 52 bits.', { ...slot });
    }
    const { ramOffset, ramBytes } = this.#memory;
    if (hostOffset < ramOffset || hostOffset + bytes > ramOffset + ramBytes) throw new MemorySlotOutOfRamError(slot, ramOffset, ramBytes);
    for (const { slot: other } of this.#records.values()) {
      if (other.id !== slot.id && other.gpa < gpa + bytes && gpa < other.gpa + other.bytes) throw new MemorySlotOverlapError(slot, other);
    }
  }
}
