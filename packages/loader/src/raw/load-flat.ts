import type { GuestMemory } from '@minusone/core';
import { realModeState } from '../boot-state.ts';
import { DoesNotFitError, FlatImageAddressError, UnrecognizedImageError } from '../errors.ts';
import type { LoadedImage } from '../loaded-image.ts';

const REAL_MODE_BYTES = 0x10_0000;

/**
 * Loads raw bytes at `address` and starts there in real mode: CS = address >> 4, IP = address & 15, all other registers zero
 * (so the stack, SS:SP = 0:0, grows down from 0xFFFF). The image goes where it is told, also into what a PC would reserve.
 *
 * @param address guest-physical, 0 to 0xFFFFF
 * @throws {FlatImageAddressError} the address is not below 1 MiB
 * @throws {DoesNotFitError} the image reaches beyond RAM
 * @throws {UnrecognizedImageError} the image is empty
 * @example
 * const { state } = loadFlat(memory, Uint8Array.of(0xf4), 0x7c00); // HLT at 07C0:0000
 */
export function loadFlat(memory: GuestMemory, image: Uint8Array, address: number): LoadedImage {
  if (!Number.isInteger(address) || address < 0) throw new FlatImageAddressError(address, 'it is not a whole number');
  if (address >= REAL_MODE_BYTES) throw new FlatImageAddressError(address, 'CS would not fit into 16 bits');
  if (image.length === 0) throw new UnrecognizedImageError('an empty file', 'Give a file with machine code in it.');
  if (address + image.length > memory.byteLength) {
    throw new DoesNotFitError('The flat image', image.length, `of ${memory.byteLength} bytes at 0x${address.toString(16)}`, {
      gpa: address,
    });
  }
  memory.write(address, image);
  return { state: realModeState(address >>> 4, address & 0xf), placed: [{ what: 'flat image', gpa: address, bytes: image.length }] };
}
