import { MinusOneError } from '@minusone/core';
import type { GuestPhysical } from './guest-physical.ts';

/** A guest's memory, for its VMM: bytes by guest-physical address. What is written is seen by the guest's code and by dirty logs, as a device's DMA is. */
export class VmMemory {
  readonly #physical: GuestPhysical;

  constructor(physical: GuestPhysical) {
    this.#physical = physical;
  }

  /** Bytes that stand without a gap from address 0. */
  get byteLength(): number {
    return this.#physical.byteLength;
  }
  /** A copy of `length` bytes. @throws {NoMemoryAtAddressError} no slot stands at one of them */
  read(gpa: number, length: number): Uint8Array {
    return this.#physical.read(gpa, length);
  }
  /** Writes all bytes or, if it throws, none. @throws {NoMemoryAtAddressError} @throws {ReadOnlyMemoryError} */
  write(gpa: number, bytes: Uint8Array): void {
    this.#physical.write(gpa, bytes);
  }
  /** As `write`, and into read-only slots too: how an image gets there. */
  load(gpa: number, bytes: Uint8Array): void {
    this.#physical.load(gpa, bytes);
  }

  /** For KVM's own writes at addresses that the guest chose. @returns false where it has no memory there */
  tryWrite(gpa: number, bytes: Uint8Array): boolean {
    return attempt(() => this.#physical.write(gpa, bytes)) !== FAILED;
  }
  tryRead(gpa: number, length: number): Uint8Array | undefined {
    const bytes = attempt(() => this.#physical.read(gpa, length));
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
