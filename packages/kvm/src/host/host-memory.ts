import { InvalidArgumentError } from '@minusone/core';
import type { MachineMemory } from '@minusone/memory';

/** Memory of the host that a slot can show a guest: what a VMM under Linux would have from `mmap`. */
export class HostMemory {
  readonly machine: MachineMemory;
  /** Host-physical address of its first byte, a multiple of 4096. */
  readonly hostOffset: number;
  readonly bytes: number;

  constructor(machine: MachineMemory, hostOffset: number, bytes: number) {
    this.machine = machine;
    this.hostOffset = hostOffset;
    this.bytes = bytes;
  }

  /** The bytes themselves. After writing through this, a guest's code that was changed may still run as it was: use `write`, or `vm.memory`. */
  get u8(): Uint8Array {
    return this.machine.u8.subarray(this.hostOffset, this.hostOffset + this.bytes);
  }

  /** Copies bytes in; guests that run this memory see it. @throws {InvalidArgumentError} it would leave this memory */
  write(offset: number, bytes: Uint8Array): void {
    if (!Number.isSafeInteger(offset) || offset < 0 || offset + bytes.length > this.bytes) {
      throw new InvalidArgumentError(`${bytes.length} bytes at ${offset} leave this memory.`, `It has ${this.bytes} bytes.`, { offset });
    }
    this.machine.u8.set(bytes, this.hostOffset + offset);
    this.machine.marks.written(this.hostOffset + offset, bytes.length);
  }
}
