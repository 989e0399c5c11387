import type { GuestMemory } from '@minusone/core';
import { protectedModeState } from '../boot-state.ts';
import { isElf, parseElf } from '../elf/elf-file.ts';
import { loadSegments, physicalEntry } from '../elf/load-segments.ts';
import { BadMultibootHeaderError, DoesNotFitError, TruncatedImageError } from '../errors.ts';
import { encodeCommandLine } from '../layout/command-line.ts';
import { BOOT_CS, putGdt } from '../layout/gdt.ts';
import { E820Type, type MemoryMap, PcAddress } from '../layout/memory-map.ts';
import { RamPlan } from '../layout/ram-plan.ts';
import type { KernelOptions, LoadedImage } from '../loaded-image.ts';
import { ascii, concat, type Structure, structure } from '../structure.ts';
import { type MultibootHeader, parseMultibootHeader } from './multiboot-header.ts';

/** Multiboot Specification 0.6.96, 3.2 "Machine state": what EAX holds. */
export const MULTIBOOT_BOOTLOADER_MAGIC = 0x2bad_b002;
const PAGE_BYTES = 4096;
const COMMAND_LINE_LIMIT = 65535;
const BOOT_LOADER_NAME = 'Ring Minus One';

const infoFields = {
  flags: 4,
  mem_lower: 4,
  mem_upper: 4,
  boot_device: 4,
  cmdline: 4,
  mods_count: 4,
  mods_addr: 4,
  syms: { raw: 16 },
  mmap_length: 4,
  mmap_addr: 4,
  drives_length: 4,
  drives_addr: 4,
  config_table: 4,
  boot_loader_name: 4,
} as const;
const moduleFields = { mod_start: 4, mod_end: 4, string: 4, reserved: 4 } as const;
const mmapFields = { size: 4, base_addr: 8, length: 8, type: 4 } as const;

/** 3.3 "Boot information format", up to `boot_loader_name`. */
export const multibootInfo: Structure<typeof infoFields> = structure(infoFields);
export const multibootModule: Structure<typeof moduleFields> = structure(moduleFields);
/** An entry of the memory map; `size` does not count itself. */
export const multibootMmapEntry: Structure<typeof mmapFields> = structure(mmapFields);

/** Bits of `flags`: which fields hold. */
export const MultibootInfoFlag = { MEMORY: 0x1, CMDLINE: 0x4, MODULES: 0x8, MMAP: 0x40, BOOT_LOADER_NAME: 0x200 } as const;

export interface MultibootModule {
  readonly content: Uint8Array;
  /** The module's string, by custom its name and arguments. */
  readonly commandLine?: string;
}

export interface MultibootOptions extends KernelOptions {
  /** Modules behind the initrd, which is the first one if given. */
  readonly modules?: readonly MultibootModule[];
}

/**
 * Loads a Multiboot 1 kernel: by its header's addresses where flag bit 16 is set (the "a.out kludge"), else as ELF at physical addresses.
 * State: 32-bit protected mode, paging off, flat segments, EAX = 0x2BADB002, EBX = the information structure.
 * Source: Multiboot Specification 0.6.96.
 *
 * @throws {ImageError} of the class that names what is wrong with the image, a module or the command line
 * @example
 * const { state } = loadMultiboot1(memory, memoryMap(64 * 2 ** 20), kernel, { commandLine: 'kernel quiet' });
 */
export function loadMultiboot1(memory: GuestMemory, map: MemoryMap, image: Uint8Array, options: MultibootOptions = {}): LoadedImage {
  const header = parseMultibootHeader(image);
  const plan = new RamPlan(memory, map);
  const entry = header.addresses ? loadByAddresses(plan, image, header, header.addresses) : loadElf(plan, image);
  const rbx = putInfo(plan, map, options);
  const gdt = putGdt(plan, 'code32');
  const registers = { rax: MULTIBOOT_BOOTLOADER_MAGIC, rbx };
  return { state: protectedModeState({ entry, registers, gdt, codeSelector: BOOT_CS }), placed: plan.placed };
}

function loadElf(plan: RamPlan, image: Uint8Array): number {
  if (!isElf(image)) throw new BadMultibootHeaderError('flag bit 16 is 0, and the image is not ELF');
  const elf = parseElf(image);
  loadSegments(plan, elf);
  return physicalEntry(elf);
}

/** 3.1.3 "The address fields of Multiboot header". */
function loadByAddresses(
  plan: RamPlan,
  image: Uint8Array,
  header: MultibootHeader,
  fields: NonNullable<MultibootHeader['addresses']>,
): number {
  const { header_addr, load_addr, load_end_addr, bss_end_addr, entry_addr } = fields;
  if (load_addr > header_addr) throw new BadMultibootHeaderError('load_addr is above header_addr', { ...fields });
  const fileOffset = header.offset - (header_addr - load_addr);
  if (fileOffset < 0) throw new BadMultibootHeaderError('load_addr lies before the start of the file', { ...fields });
  // load_end_addr 0: the text and data reach to the end of the file.
  const loadEnd = load_end_addr || load_addr + image.length - fileOffset;
  if (loadEnd <= load_addr) throw new BadMultibootHeaderError('load_end_addr is not above load_addr', { ...fields });
  const fileEnd = fileOffset + loadEnd - load_addr;
  if (fileEnd > image.length) throw new TruncatedImageError('The Multiboot load range', fileEnd, image.length);
  const bssEnd = bss_end_addr || loadEnd;
  if (bssEnd < loadEnd) throw new BadMultibootHeaderError('bss_end_addr is below load_end_addr', { ...fields });
  if (entry_addr < load_addr || entry_addr >= bssEnd) throw new BadMultibootHeaderError('entry_addr is not in the image', { ...fields });

  plan.claim('Multiboot image', load_addr, bssEnd - load_addr);
  plan.write(load_addr, image.subarray(fileOffset, fileEnd));
  plan.zero(loadEnd, bssEnd - loadEnd);
  return entry_addr;
}

function putInfo(plan: RamPlan, map: MemoryMap, options: MultibootOptions): number {
  const { initrd, commandLine = '', modules = [] } = options;
  const all = initrd && initrd.length > 0 ? [{ content: initrd }, ...modules] : modules;
  const moduleList = all.map((module) => putModule(plan, module));
  const mmap = map.map((entry) => multibootMmapEntry.encode({ size: 20, base_addr: entry.gpa, length: entry.bytes, type: entry.type }));
  const mmapBytes = concat(...mmap);
  const kibAt = (gpa: number): number => (map.find((entry) => entry.gpa === gpa && entry.type === E820Type.RAM)?.bytes ?? 0) / 1024;
  const info = multibootInfo.encode({
    flags:
      MultibootInfoFlag.MEMORY |
      MultibootInfoFlag.CMDLINE |
      MultibootInfoFlag.MODULES |
      MultibootInfoFlag.MMAP |
      MultibootInfoFlag.BOOT_LOADER_NAME,
    mem_lower: Math.floor(kibAt(0)),
    mem_upper: Math.floor(kibAt(PcAddress.HIGH_MEMORY)),
    cmdline: plan.putLow('command line', encodeCommandLine(commandLine, COMMAND_LINE_LIMIT)),
    mods_count: moduleList.length,
    mods_addr: moduleList.length > 0 ? plan.putLow('module list', concat(...moduleList)) : 0,
    mmap_length: mmapBytes.length,
    mmap_addr: plan.putLow('memory map', mmapBytes),
    boot_loader_name: plan.putLow('boot loader name', ascii(`${BOOT_LOADER_NAME}\0`)),
  });
  return plan.putLow('Multiboot information', info);
}

/** Modules go right behind the kernel, page-aligned, whether or not the kernel asks for it. */
function putModule(plan: RamPlan, module: MultibootModule): Uint8Array {
  const { content, commandLine = '' } = module;
  const highest = PcAddress.ABOVE_4_GIB - 1;
  const gpa = plan.takeLowest('module', content.length, { alignment: PAGE_BYTES, lowest: PcAddress.HIGH_MEMORY, highest });
  if (gpa === undefined) throw new DoesNotFitError('A Multiboot module', content.length, 'below 4 GiB');
  plan.write(gpa, content);
  const string = plan.putLow('module string', encodeCommandLine(commandLine, COMMAND_LINE_LIMIT));
  return multibootModule.encode({ mod_start: gpa, mod_end: gpa + content.length, string });
}
