import { BadElfError } from '../errors.ts';
import type { RamPlan } from '../layout/ram-plan.ts';
import { hex } from '../structure.ts';
import type { ElfFile } from './elf-file.ts';

/**
 * Loads every PT_LOAD segment at its physical address (`p_paddr`) and zeroes what the file does not fill.
 * @throws {DoesNotFitError} a segment lies outside RAM
 * @throws {OverlapError} two segments overlap
 */
export function loadSegments(plan: RamPlan, elf: ElfFile): void {
  for (const segment of elf.segments) {
    plan.claim('ELF segment', segment.p_paddr, segment.p_memsz);
    plan.write(segment.p_paddr, elf.image.subarray(segment.p_offset, segment.p_offset + segment.p_filesz));
    plan.zero(segment.p_paddr + segment.p_filesz, segment.p_memsz - segment.p_filesz);
  }
}

/**
 * The physical address of the entry point. A kernel linked to run elsewhere than it is loaded has a virtual `e_entry`: it is
 * translated by the segment that holds it. Otherwise `e_entry` is physical, as in Linux's vmlinux.
 * @throws {BadElfError} no segment holds the entry point
 */
export function physicalEntry(elf: ElfFile): number {
  const { entry, segments } = elf;
  const holder = segments.find((segment) => entry >= segment.p_vaddr && entry < segment.p_vaddr + BigInt(segment.p_memsz));
  if (holder) return holder.p_paddr + Number(entry - holder.p_vaddr);
  requireEntryInSegment(elf, Number(entry));
  return Number(entry);
}

/** @throws {BadElfError} no segment is loaded over this physical address */
export function requireEntryInSegment(elf: ElfFile, entry: number): void {
  if (elf.segments.some((segment) => entry >= segment.p_paddr && entry < segment.p_paddr + segment.p_memsz)) return;
  throw new BadElfError(`its entry point ${hex(entry)} is in no loaded segment`, { entry });
}
