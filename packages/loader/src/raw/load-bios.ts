import { type BootState, resetState } from '../boot-state.ts';
import { BiosImageSizeError } from '../errors.ts';
import { PcAddress } from '../layout/memory-map.ts';

/** A read-only memory slot to make. */
export interface RomSlot {
  readonly gpa: number;
  readonly bytes: number;
  readonly data: Uint8Array;
}

export interface LoadedBios {
  readonly state: BootState;
  readonly roms: readonly RomSlot[];
}

const LEAST_BYTES = 4096;
const MOST_BYTES = 16 * 2 ** 20;
/** How much of the image's end also stands below 1 MiB. */
const LOW_COPY_BYTES = 128 * 1024;

/**
 * Maps a firmware image: it ends at 4 GiB, and its last 128 KiB (or all of a smaller one) also end at 1 MiB, as read-only slots.
 * The CPU starts at the reset vector, F000:FFF0 with CS base 0xFFFF0000.
 *
 * @param image a multiple of 4096 bytes, 4 KiB to 16 MiB
 * @throws {BiosImageSizeError} any other size
 * @example
 * for (const rom of loadBios(image).roms) console.log(rom.gpa.toString(16), rom.bytes);
 */
export function loadBios(image: Uint8Array): LoadedBios {
  if (image.length < LEAST_BYTES || image.length > MOST_BYTES || image.length % LEAST_BYTES !== 0)
    throw new BiosImageSizeError(image.length);
  const low = image.slice(-LOW_COPY_BYTES);
  return {
    state: resetState(),
    roms: [
      { gpa: PcAddress.HIGH_MEMORY - low.length, bytes: low.length, data: low },
      { gpa: PcAddress.ABOVE_4_GIB - image.length, bytes: image.length, data: image.slice() },
    ],
  };
}
