/** How much INVLPG is to forget at an address, by its low half: a bit is 1 where an address has to agree with it. */
export const PageMask = {
  SMALL: -0x1000,
  /** 2-MByte and 4-MByte pages. */
  LARGE: -0x40_0000,
  /** 1-GByte pages: everything. */
  HUGE: 0,
} as const;
export type PageMask = (typeof PageMask)[keyof typeof PageMask];

const PLACES = 1 << 14;
/** Spreads the upper halves of addresses, so that a guest's user pages seldom share a place with the large pages of its kernel. */
const placeOf = (number: number, high: number): number => (number ^ Math.imul(high, 0x9e37_79b1)) & (PLACES - 1);

/**
 * Where pieces of large pages are cached: entries of the TLB are of 4 KBytes, but INVLPG forgets all of a page (SDM Vol. 3A, 4.10.4.1 "Operations that Invalidate TLBs
 * and Paging-Structure Caches"). Addresses share places: it may say so of others, too.
 */
export class LargePages {
  readonly #large = new Uint8Array(PLACES);
  readonly #huge = new Uint8Array(PLACES);

  /** @param level of the guest's entry that maps the page: 2 or 3 */
  note(low: number, high: number, level: number): void {
    if (level === 2) this.#large[placeOf(low >>> 22, high)] = 1;
    else this.#huge[placeOf(low >>> 30, high)] = 1;
  }
  maskAt(low: number, high: number): PageMask {
    if (this.#huge[placeOf(low >>> 30, high)] !== 0) return PageMask.HUGE;
    return this.#large[placeOf(low >>> 22, high)] === 0 ? PageMask.SMALL : PageMask.LARGE;
  }
  clear(): void {
    this.#large.fill(0);
    this.#huge.fill(0);
  }
}
