import { MinusOneError } from '@minusone/core';
import type { MachineMemory } from '@minusone/memory';
import type { GuestPhysical } from './guest-physical.ts';
import type { KvmMemorySlots } from './memory-slots.ts';

/**
 * A guest's memory, for its VMM: bytes by guest-physical address, as the slots have them, also where the guest has put its local APIC over them. What is written is seen by the guest's
 * code and by dirty logs, as a device's DMA is.
 */
export class VmMemory {
  readonly #physical: GuestPhysical;
  readonly #slots: KvmMemorySlots;
  readonly #memory: MachineMemory;

  constructor(physical: GuestPhysical, slots: KvmMemorySlots) {
    this.#physical = physical;
    this.#slots = slots;
    this.#memory = physical.memory;
  }

  /** Bytes that stand without a gap from address 0. */
  get byteLength(): number {
    return this.#physical.byteLength;
  }
  /** A copy of `length` bytes. @throws {NoMemoryAtAddressError} no slot stands at one of them */
  read(gpa: number, length: number): Uint8Array {
    const runs = this.#slots.hostRuns(gpa, length, false);
    const bytes = new Uint8Array(length);
    let at = 0;
    for (const run of runs) {
      bytes.set(this.#memory.u8.subarray(run.hostOffset, run.hostOffset + run.bytes), at);
      at += run.bytes;
    }
    return bytes;
  }
  /** Writes all bytes or, if it throws, none. @throws {NoMemoryAtAddressError} @throws {ReadOnlyMemoryError} */
  write(gpa: number, bytes: Uint8Array): void {
    this.#put(gpa, bytes, true);
  }
  /** As `write`, and into read-only slots too: how an image gets there. */
  load(gpa: number, bytes: Uint8Array): void {
    this.#put(gpa, bytes, false);
  }
  #put(gpa: number, bytes: Uint8Array, isGuests: boolean): void {
    let at = 0;
    for (const run of this.#slots.hostRuns(gpa, bytes.length, isGuests)) {
      this.#memory.u8.set(bytes.subarray(at, at + run.bytes), run.hostOffset);
      this.#memory.marks.written(run.hostOffset, run.bytes);
      at += run.bytes;
    }
  }

  /** For KVM's own writes at addresses that the guest chose. @returns false where it has no memory there */
  tryWrite(gpa: number, bytes: Uint8Array): boolean {
    return attempt(() => this.write(gpa, bytes)) !== FAILED;
  }
  tryRead(gpa: number, length: number): Uint8Array | undefined {
    const bytes = attempt(() => this.read(gpa, length));
    return bytes === FAILED ? undefined : bytes;
  }
}

const FAILED: unique symbol = Symbol('failed');

function attempt<T>(work: () => T): T | typeof FAILED {
  try {
    return work();
  } catch (error) {
    if (error instanceof MinusOneError) return FAILED;
    throw error;
  }
}
