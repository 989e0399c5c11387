import type { GuestMemory } from '@minusone/core';
import { protectedModeState } from '../boot-state.ts';
import { BadElfError, NoPvhEntryError } from '../errors.ts';
import { BOOT_CS, putGdt } from '../layout/gdt.ts';
import type { MemoryMap } from '../layout/memory-map.ts';
import { RamPlan } from '../layout/ram-plan.ts';
import type { KernelOptions, LoadedImage } from '../loaded-image.ts';
import { readUint } from '../structure.ts';
import { type ElfFile, parseElf } from './elf-file.ts';
import { loadSegments, requireEntryInSegment } from './load-segments.ts';
import { putStartInfo } from './start-info.ts';

/** Xen, public/elfnote.h. */
const XEN_ELFNOTE_PHYS32_ENTRY = 18;

/** The 32-bit physical entry point that the PVH note names, or undefined. */
export function pvhEntry(elf: ElfFile): number | undefined {
  const note = elf.notes.find((candidate) => candidate.name === 'Xen' && candidate.type === XEN_ELFNOTE_PHYS32_ENTRY);
  if (!note) return undefined;
  const { length } = note.descriptor;
  if (length !== 4 && length !== 8) throw new BadElfError(`its PVH note has ${length} bytes, neither 4 nor 8`, { length });
  return readUint(note.descriptor, 0, length);
}

/**
 * Loads an ELF kernel by its PVH entry: 32-bit protected mode, paging off, flat segments, EBX = `hvm_start_info`.
 * Source: Xen, docs/misc/pvh.pandoc, "x86/HVM direct boot ABI".
 *
 * @throws {NoPvhEntryError} the file has no PVH note
 * @throws {ImageError} of the class that names what else is wrong
 * @example
 * const { state } = loadElfPvh(memory, memoryMap(256 * 2 ** 20), vmlinux, { commandLine: 'console=ttyS0' });
 */
export function loadElfPvh(memory: GuestMemory, map: MemoryMap, image: Uint8Array, options: KernelOptions = {}): LoadedImage {
  const elf = parseElf(image);
  const entry = pvhEntry(elf);
  if (entry === undefined) throw new NoPvhEntryError();
  requireEntryInSegment(elf, entry);
  const plan = new RamPlan(memory, map);
  loadSegments(plan, elf);
  const rbx = putStartInfo(plan, map, options);
  const gdt = putGdt(plan, 'code32');
  return { state: protectedModeState({ entry, registers: { rbx }, gdt, codeSelector: BOOT_CS }), placed: plan.placed };
}
