import type { GuestMemory } from '@minusone/core';
import { loadBzImage } from './bzimage/load-bzimage.ts';
import { detectKernel, type KernelKind } from './detect-kernel.ts';
import { loadElf64 } from './elf/load-elf64.ts';
import { loadElfPvh } from './elf/load-pvh.ts';
import type { MemoryMap } from './layout/memory-map.ts';
import type { KernelOptions, LoadedImage } from './loaded-image.ts';
import { loadMultiboot1 } from './multiboot/load-multiboot1.ts';

const loaders: Readonly<Record<KernelKind, typeof loadElfPvh>> = {
  bzImage: loadBzImage,
  'elf-pvh': loadElfPvh,
  multiboot1: loadMultiboot1,
  elf64: loadElf64,
};

/**
 * Finds out what kind of kernel the image is and loads it.
 * @throws {ImageError} of the class that names what is wrong
 * @example
 * const { kind, state } = loadKernel(memory, memoryMap(256 * 2 ** 20), image, { commandLine: 'console=ttyS0' });
 */
export function loadKernel(
  memory: GuestMemory,
  map: MemoryMap,
  image: Uint8Array,
  options: KernelOptions = {},
): LoadedImage & { readonly kind: KernelKind } {
  const kind = detectKernel(image);
  return { kind, ...loaders[kind](memory, map, image, options) };
}
