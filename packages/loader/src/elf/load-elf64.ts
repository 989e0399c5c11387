import type { GuestMemory } from '@minusone/core';
import { longModeState } from '../boot-state.ts';
import { BadElfError } from '../errors.ts';
import { BOOT_CS, putGdt } from '../layout/gdt.ts';
import { type MemoryMap, topOfRam } from '../layout/memory-map.ts';
import { putIdentityPageTables } from '../layout/page-tables.ts';
import { RamPlan } from '../layout/ram-plan.ts';
import type { KernelOptions, LoadedImage } from '../loaded-image.ts';
import { Machine, parseElf } from './elf-file.ts';
import { loadSegments, physicalEntry } from './load-segments.ts';
import { putStartInfo } from './start-info.ts';

const STACK_BYTES = 16384;

/**
 * Loads an ELF64 kernel of one's own straight into 64-bit mode. This is our own convention, as little as a C function needs:
 *
 * * RIP = physical address of the entry point; identity page tables (2 MiB pages, writable, supervisor) for the first 4 GiB or all RAM;
 * * CS = 0x10, DS = ES = SS = FS = GS = 0x18 from a GDT; no IDT, interrupts off; CR0 = PG|ET|PE, CR4 = PAE, EFER = LMA|LME;
 * * RDI = RBX = guest-physical address of an `hvm_start_info` with command line, initrd, memory map and RSDP;
 * * RSP = a 16 KiB stack below 640 KiB, with a return address of 0 on it, aligned as at the entry of a System V function.
 *
 * @throws {ImageError} of the class that names what is wrong with the image
 * @example
 * const { state } = loadElf64(memory, memoryMap(16 * 2 ** 20), kernelElf);
 */
export function loadElf64(memory: GuestMemory, map: MemoryMap, image: Uint8Array, options: KernelOptions = {}): LoadedImage {
  const elf = parseElf(image);
  if (elf.elfClass !== 64 || elf.machine !== Machine.X86_64) throw new BadElfError('it is not a 64-bit x86-64 file');
  const entry = physicalEntry(elf);
  const plan = new RamPlan(memory, map);
  loadSegments(plan, elf);
  const rdi = putStartInfo(plan, map, options);
  const stack = plan.putLow('stack', new Uint8Array(STACK_BYTES));
  const gdt = putGdt(plan, 'code64');
  const cr3 = putIdentityPageTables(plan, topOfRam(map));
  const registers = { rdi, rbx: rdi, rsp: stack + STACK_BYTES - 8 };
  return { state: longModeState({ entry, registers, gdt, codeSelector: BOOT_CS, cr3 }), placed: plan.placed };
}
