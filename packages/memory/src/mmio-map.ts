import { InvalidArgumentError, type MmioDevice } from '@minusone/core';
import { MmioOverlapError, NotMappedError } from './errors.ts';

/** A device at a range of guest-physical addresses. Any start and size: pages do not matter. */
export interface MmioRegion {
  readonly gpa: number;
  readonly bytes: number;
  readonly device: MmioDevice;
}

/** The MMIO regions of an address space, by address; none overlaps another. */
export class MmioMap {
  readonly #regions: MmioRegion[] = [];
  #last: MmioRegion | undefined;

  /** In order of address. */
  get regions(): readonly MmioRegion[] {
    return this.#regions;
  }

  /**
   * @throws {InvalidArgumentError} the range is empty, or not of whole numbers below 2^52
   * @throws {MmioOverlapError} another region stands there; names both
   */
  map(gpa: number, bytes: number, device: MmioDevice): MmioRegion {
    if (!Number.isSafeInteger(gpa) || !Number.isSafeInteger(bytes) || gpa < 0 || bytes < 1 || gpa + bytes > 2 ** 52) {
      throw new InvalidArgumentError(`An MMIO region of ${bytes} bytes at ${gpa} is not possible.`, 'Stay within 0 to 2^52 - 1.', {
        gpa,
        bytes,
      });
    }
    const region: MmioRegion = { gpa, bytes, device };
    const at = this.#firstEndingAfter(gpa);
    const other = this.#regions[at];
    if (other !== undefined && other.gpa < gpa + bytes) throw new MmioOverlapError(region, other);
    this.#regions.splice(at, 0, region);
    return region;
  }

  /** @throws {NotMappedError} the region is not (or no longer) mapped here */
  unmap(region: MmioRegion): void {
    const at = this.#regions.indexOf(region);
    if (at < 0) throw new NotMappedError('The MMIO region', region.gpa, region.bytes);
    this.#regions.splice(at, 1);
    if (this.#last === region) this.#last = undefined;
  }

  /** The region that holds the byte at `gpa`. */
  find(gpa: number): MmioRegion | undefined {
    const last = this.#last;
    if (last !== undefined && gpa >= last.gpa && gpa < last.gpa + last.bytes) return last;
    const region = this.#regions[this.#firstEndingAfter(gpa)];
    if (region === undefined || region.gpa > gpa) return undefined;
    this.#last = region;
    return region;
  }

  /** The first region that holds any of the bytes. */
  firstTouching(gpa: number, bytes: number): MmioRegion | undefined {
    const region = this.#regions[this.#firstEndingAfter(gpa)];
    return region !== undefined && region.gpa < gpa + bytes ? region : undefined;
  }

  #firstEndingAfter(gpa: number): number {
    let low = 0;
    let high = this.#regions.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const region = this.#regions[middle]!;
      if (region.gpa + region.bytes > gpa) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}
