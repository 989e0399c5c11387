import { type MachineMemory, PAGE_BYTES } from '@minusone/memory';
import type { HostPages } from './host-pages.ts';
import type { PageAllocator } from './page-allocator.ts';

/** Pages of one owner, who gives back all that are left at once. */
export class OwnedPages implements HostPages {
  readonly memory: MachineMemory;
  readonly #allocator: PageAllocator;
  /** Bytes, by host-physical address. */
  readonly #owned = new Map<number, number>();

  constructor(allocator: PageAllocator) {
    this.memory = allocator.memory;
    this.#allocator = allocator;
  }
  allocate(pages = 1): number {
    const hpa = this.#allocator.allocate(pages);
    this.#owned.set(hpa, pages * PAGE_BYTES);
    return hpa;
  }
  free(hpa: number): void {
    this.#owned.delete(hpa);
    this.#allocator.free(hpa);
  }
  freeAll(): void {
    for (const [hpa, bytes] of this.#owned) this.#allocator.freeBytesAt(hpa, bytes);
    this.#owned.clear();
  }
}
