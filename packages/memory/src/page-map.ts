import { PageFlag } from './page-flags.ts';

/** Pages in one chunk of the map: 4 MiB of guest-physical addresses. */
const CHUNK_PAGES = 1024;
const CHUNK_BYTES: number = CHUNK_PAGES * 4096;
const LOW_CHUNKS = 1024;
const FOUR_GIB = 2 ** 32;
const NOTHING = new Int32Array(CHUNK_PAGES);

/**
 * What slot page stands at a guest-physical page. An entry is 0 where none does, otherwise
 * `hostPageNumber << 8 | flags`, with the guest-physical flags of `PageFlag`.
 *
 * Below 4 GiB it is two array reads; above, the chunk used last is at hand, and others are in a hash map.
 */
export class PageMap {
  readonly #low: Int32Array[] = new Array<Int32Array>(LOW_CHUNKS).fill(NOTHING);
  readonly #high = new Map<number, Int32Array>();
  #lastHighNumber = -1;
  #lastHigh: Int32Array = NOTHING;

  /** The entry for the page that holds `gpa`: bytes, 0 to 2^52 - 1. */
  entry(gpa: number): number {
    if (gpa < FOUR_GIB) return this.#low[gpa >>> 22]![(gpa >>> 12) & 1023]!;
    return this.#highEntry(gpa);
  }

  #highEntry(gpa: number): number {
    const number = Math.floor(gpa / CHUNK_BYTES);
    if (number !== this.#lastHighNumber) {
      this.#lastHigh = this.#high.get(number) ?? NOTHING;
      this.#lastHighNumber = number;
    }
    return this.#lastHigh[(gpa >>> 12) & 1023]!;
  }

  /** Sets the entry of one page. Chunks are made when first needed. */
  set(gpa: number, entry: number): void {
    this.#writableChunk(Math.floor(gpa / CHUNK_BYTES))[(gpa >>> 12) & 1023] = entry;
  }

  #writableChunk(number: number): Int32Array {
    const low = number < LOW_CHUNKS;
    const chunk = low ? this.#low[number]! : (this.#high.get(number) ?? NOTHING);
    if (chunk !== NOTHING) return chunk;
    const made = new Int32Array(CHUNK_PAGES);
    if (low) this.#low[number] = made;
    else this.#high.set(number, made);
    this.#lastHighNumber = -1;
    return made;
  }
}

/** Composes an entry. Stores are plain only where neither ROM nor MMIO stands. */
export function pageEntry(hostPage: number, readOnly: boolean, mmio: boolean): number {
  const flags = PageFlag.RAM | (readOnly ? PageFlag.ROM : 0) | (mmio ? PageFlag.MMIO : 0) | (readOnly || mmio ? 0 : PageFlag.WRITABLE);
  return ((hostPage >>> 12) << 8) | flags;
}
