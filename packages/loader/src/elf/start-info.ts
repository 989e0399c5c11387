import { InitrdDoesNotFitError } from '../errors.ts';
import { encodeCommandLine } from '../layout/command-line.ts';
import { type MemoryMap, PcAddress } from '../layout/memory-map.ts';
import type { RamPlan } from '../layout/ram-plan.ts';
import type { KernelOptions } from '../loaded-image.ts';
import { concat, type Structure, structure } from '../structure.ts';

export const START_INFO_MAGIC = 0x336e_c578;
const START_INFO_VERSION = 1;
const PAGE_BYTES = 4096;
/** Longest command line that we hand over; the protocol sets no limit. */
const COMMAND_LINE_LIMIT = 65535;

const startInfoFields = {
  magic: 4,
  version: 4,
  flags: 4,
  nr_modules: 4,
  modlist_paddr: 8,
  cmdline_paddr: 8,
  rsdp_paddr: 8,
  memmap_paddr: 8,
  memmap_entries: 4,
  reserved: 4,
} as const;
const moduleFields = { paddr: 8, size: 8, cmdline_paddr: 8, reserved: 8 } as const;
const memmapFields = { addr: 8, size: 8, type: 4, reserved: 4 } as const;

/** `struct hvm_start_info` (Xen, public/arch-x86/hvm/start_info.h). */
export const startInfo: Structure<typeof startInfoFields> = structure(startInfoFields);
/** `struct hvm_modlist_entry`. */
export const startInfoModule: Structure<typeof moduleFields> = structure(moduleFields);
/** `struct hvm_memmap_table_entry`; the types are those of e820. */
export const startInfoMemmapEntry: Structure<typeof memmapFields> = structure(memmapFields);

/**
 * Puts an `hvm_start_info` of version 1 with command line, initrd (the first module) and memory map into guest memory.
 * @returns its guest-physical address
 * @throws {InitrdDoesNotFitError} no free RAM below 4 GiB holds the initrd
 */
export function putStartInfo(plan: RamPlan, map: MemoryMap, options: KernelOptions): number {
  const { initrd, commandLine = '', acpiRsdp = 0 } = options;
  const cmdline_paddr = plan.putLow('command line', encodeCommandLine(commandLine, COMMAND_LINE_LIMIT));
  let modlist_paddr = 0;
  if (initrd && initrd.length > 0) {
    const highest = PcAddress.ABOVE_4_GIB - 1;
    const paddr = plan.takeHighest('initrd', initrd.length, { alignment: PAGE_BYTES, lowest: PcAddress.HIGH_MEMORY, highest });
    if (paddr === undefined) throw new InitrdDoesNotFitError(initrd.length, highest);
    plan.write(paddr, initrd);
    modlist_paddr = plan.putLow('module list', startInfoModule.encode({ paddr, size: initrd.length }));
  }
  const memmap = map.map((entry) => startInfoMemmapEntry.encode({ addr: entry.gpa, size: entry.bytes, type: entry.type }));
  const info = startInfo.encode({
    magic: START_INFO_MAGIC,
    version: START_INFO_VERSION,
    nr_modules: modlist_paddr === 0 ? 0 : 1,
    modlist_paddr,
    cmdline_paddr,
    rsdp_paddr: acpiRsdp,
    memmap_paddr: plan.putLow('memory map', concat(...memmap)),
    memmap_entries: memmap.length,
  });
  return plan.putLow('start info', info);
}
