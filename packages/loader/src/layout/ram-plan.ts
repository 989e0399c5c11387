import type { GuestMemory } from '@minusone/core';
import { DoesNotFitError, OverlapError } from '../errors.ts';
import { alignDown, alignUp, hex } from '../structure.ts';
import { E820Type, type MemoryMap, PcAddress } from './memory-map.ts';

/** What a loader put where. */
export interface PlacedRange {
  readonly what: string;
  readonly gpa: number;
  readonly bytes: number;
}

/** Where something may go: an inclusive lowest and highest address, and its alignment in bytes. */
export interface PlaceOptions {
  readonly alignment?: number;
  readonly lowest?: number;
  readonly highest?: number;
}

/**
 * Hands out the RAM of a memory map to the parts of an image and to boot structures, so that no two overlap and nothing lies
 * outside RAM; and writes them. The first page (interrupt vectors, BIOS data) is never handed out, only claimed by address.
 */
export class RamPlan {
  readonly placed: PlacedRange[] = [];
  readonly #memory: GuestMemory;
  readonly #map: MemoryMap;

  constructor(memory: GuestMemory, map: MemoryMap) {
    this.#memory = memory;
    this.#map = map;
  }

  /**
   * Takes exactly this range.
   * @throws {DoesNotFitError} it is not wholly RAM
   * @throws {OverlapError} something is there already
   */
  claim(what: string, gpa: number, bytes: number): void {
    if (!this.#isRam(gpa, bytes)) throw new DoesNotFitError(what, bytes, `at ${hex(gpa)}`, { gpa });
    const other = this.#overlapping(gpa, bytes);
    if (other) throw new OverlapError(what, gpa, bytes, `${other.what} at ${hex(other.gpa)} (${other.bytes} bytes)`);
    this.placed.push({ what, gpa, bytes });
  }

  /** True where the range is RAM and nobody has it. */
  isFree(gpa: number, bytes: number): boolean {
    return this.#isRam(gpa, bytes) && this.#overlapping(gpa, bytes) === undefined;
  }

  /** Takes the lowest free range, or returns undefined. */
  takeLowest(what: string, bytes: number, options: PlaceOptions = {}): number | undefined {
    return this.#take(what, bytes, options, 1);
  }

  /** Takes the highest free range, or returns undefined. */
  takeHighest(what: string, bytes: number, options: PlaceOptions = {}): number | undefined {
    return this.#take(what, bytes, options, -1);
  }

  /**
   * Takes the lowest free conventional memory, for a boot structure.
   * @throws {DoesNotFitError} there is no room below 640 KiB
   */
  takeLow(what: string, bytes: number, alignment = 16): number {
    const gpa = this.takeLowest(what, bytes, { alignment, highest: PcAddress.EBDA - 1 });
    if (gpa === undefined) throw new DoesNotFitError(what, bytes, `below ${hex(PcAddress.EBDA)}`);
    return gpa;
  }

  /** `takeLow` and `write` in one; returns the address. */
  putLow(what: string, content: Uint8Array, alignment = 16): number {
    const gpa = this.takeLow(what, content.length, alignment);
    this.#memory.write(gpa, content);
    return gpa;
  }

  /** Writes content to a range that was taken or claimed. */
  write(gpa: number, content: Uint8Array): void {
    this.#memory.write(gpa, content);
  }

  /** Zeroes a range that was taken or claimed. */
  zero(gpa: number, bytes: number): void {
    const zeros = new Uint8Array(Math.min(bytes, 2 ** 20));
    for (let done = 0; done < bytes; done += zeros.length) this.#memory.write(gpa + done, zeros.subarray(0, bytes - done));
  }

  #isRam(gpa: number, bytes: number): boolean {
    return this.#map.some((entry) => entry.type === E820Type.RAM && gpa >= entry.gpa && gpa + bytes <= entry.gpa + entry.bytes);
  }

  #overlapping(gpa: number, bytes: number): PlacedRange | undefined {
    return this.placed.find((range) => gpa < range.gpa + range.bytes && range.gpa < gpa + bytes);
  }

  /** Free space changes only at the ends of entries and placed ranges, so those are the only candidates. */
  #take(what: string, bytes: number, options: PlaceOptions, direction: 1 | -1): number | undefined {
    const { alignment = 1, lowest = 0x1000, highest = Number.MAX_SAFE_INTEGER } = options;
    const ranges = [...this.#map, ...this.placed];
    const candidates =
      direction > 0
        ? [lowest, ...ranges.flatMap((range) => [range.gpa, range.gpa + range.bytes])].map((gpa) => alignUp(gpa, alignment))
        : [highest + 1, ...ranges.flatMap((range) => [range.gpa, range.gpa + range.bytes])].map((end) => alignDown(end - bytes, alignment));
    candidates.sort((a, b) => (a - b) * direction);
    const gpa = candidates.find((start) => start >= lowest && start + bytes - 1 <= highest && this.isFree(start, bytes));
    if (gpa !== undefined) this.placed.push({ what, gpa, bytes });
    return gpa;
  }
}
