/**
 * The dirty bitmap of one range of host pages: bit n is page n, bit 0 of byte 0 the first (KVM API: `KVM_GET_DIRTY_LOG`,
 * Documentation/virt/kvm/api.rst, 4.8). Protecting pages is the business of `PageMarks`.
 */
export class DirtyLog {
  readonly hostOffset: number;
  readonly pages: number;
  readonly #bitmap: Uint8Array;

  /** @param hostOffset first byte covered, a multiple of 4096 */
  constructor(hostOffset: number, pages: number) {
    this.hostOffset = hostOffset;
    this.pages = pages;
    this.#bitmap = new Uint8Array(Math.ceil(pages / 8));
  }

  /** Marks the page that holds `hostOffset`, if this log covers it. */
  markDirty(hostOffset: number): void {
    const page = Math.floor((hostOffset - this.hostOffset) / 4096);
    if (page >= 0 && page < this.pages) this.#bitmap[page >>> 3]! |= 1 << (page & 7);
  }

  /** Whether this log covers the page that holds `hostOffset`, and has it clean. */
  isClean(hostOffset: number): boolean {
    const page = Math.floor((hostOffset - this.hostOffset) / 4096);
    return page >= 0 && page < this.pages && (this.#bitmap[page >>> 3]! & (1 << (page & 7))) === 0;
  }

  /** A copy of the bitmap. */
  bitmap(): Uint8Array {
    return this.#bitmap.slice();
  }

  clear(firstPage: number, count: number): void {
    for (let page = firstPage; page < firstPage + count; page++) this.#bitmap[page >>> 3]! &= ~(1 << (page & 7));
  }
}
