import { InvalidArgumentError } from '@minusone/core';
import { type MachineMemory, PAGE_BYTES } from '@minusone/memory';
import { HostMemoryExhaustedError } from '../errors.ts';
import type { HostPages } from './host-pages.ts';

/** A run of free pages. */
interface Run {
  at: number;
  bytes: number;
}

/** Hands out pages of a part of the host's memory, first fit, and takes them back. */
export class PageAllocator implements HostPages {
  readonly memory: MachineMemory;
  /** Free runs in order of address; no two touch. */
  readonly #free: Run[];
  readonly #start: number;
  readonly #end: number;

  /** @param start host-physical address, a multiple of 4096 */
  constructor(memory: MachineMemory, start: number, bytes: number) {
    this.memory = memory;
    this.#start = start;
    this.#end = start + bytes;
    this.#free = bytes === 0 ? [] : [{ at: start, bytes }];
  }

  /** Bytes that are still to be had, in however many pieces. */
  get freeBytes(): number {
    return this.#free.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** @throws {HostMemoryExhaustedError} no run of free pages is long enough */
  allocate(pages = 1): number {
    const hpa = this.allocateBytes(pages * PAGE_BYTES, PAGE_BYTES);
    this.memory.u8.fill(0, hpa, hpa + pages * PAGE_BYTES);
    return hpa;
  }

  /** Pages whose contents are whatever they were. @param alignment a power of two, at least 4096 */
  allocateBytes(bytes: number, alignment: number): number {
    for (const [index, run] of this.#free.entries()) {
      const at = Math.ceil(run.at / alignment) * alignment;
      const skipped = at - run.at;
      if (skipped + bytes > run.bytes) continue;
      const rest: Run[] = [];
      if (skipped > 0) rest.push({ at: run.at, bytes: skipped });
      if (skipped + bytes < run.bytes) rest.push({ at: at + bytes, bytes: run.bytes - skipped - bytes });
      this.#free.splice(index, 1, ...rest);
      return at;
    }
    throw new HostMemoryExhaustedError(bytes, this.freeBytes);
  }

  free(hpa: number): void {
    this.freeBytesAt(hpa, PAGE_BYTES);
  }

  freeBytesAt(hpa: number, bytes: number): void {
    if (hpa < this.#start || hpa + bytes > this.#end || hpa % PAGE_BYTES !== 0) {
      throw new InvalidArgumentError(`No page of these stands at 0x${hpa.toString(16)}.`, 'Give back what `allocate` returned.', { hpa });
    }
    const next = this.#free.findIndex(({ at }) => at > hpa);
    const index = next < 0 ? this.#free.length : next;
    const before = this.#free[index - 1];
    const after = this.#free[index];
    if ((before !== undefined && before.at + before.bytes > hpa) || (after !== undefined && hpa + bytes > after.at)) {
      throw new InvalidArgumentError(`The page at 0x${hpa.toString(16)} is free already.`, 'Give each page back once.', { hpa });
    }
    const run: Run = { at: hpa, bytes };
    const joinsBefore = before !== undefined && before.at + before.bytes === run.at;
    const joinsAfter = after !== undefined && run.at + run.bytes === after.at;
    if (joinsAfter) run.bytes += after.bytes;
    if (joinsBefore) {
      before.bytes += run.bytes;
      if (joinsAfter) this.#free.splice(index, 1);
    } else this.#free.splice(index, joinsAfter ? 1 : 0, run);
  }
}
