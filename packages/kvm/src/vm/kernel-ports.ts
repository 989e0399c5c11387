import type { PortDevice } from '@minusone/core';
import { PortSpace } from '@minusone/memory';

/** The I/O ports whose devices are "in the kernel": their accesses do not exit to the user. */
export class KernelPorts {
  readonly space: PortSpace = new PortSpace();
  /** By port: the number of the range that stands there; 0: none. */
  readonly #range = new Uint8Array(65536);
  #ranges = 0;

  map(first: number, count: number, device: PortDevice): void {
    this.space.map(first, count, device);
    this.#range.fill(++this.#ranges, first, first + count);
  }

  /** Whether one device of the kernel has all ports of an access, as KVM's I/O bus asks. */
  has(port: number, size: number): boolean {
    const range = this.#range[port] as number;
    return range !== 0 && this.#range[port + size - 1] === range;
  }
}
