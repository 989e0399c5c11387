import { type MemoryMap, PcAddress } from '../layout/memory-map.ts';
import { type Structure, structure, writeUint } from '../structure.ts';
import { type ParsedSetupHeader, SETUP_HEADER_OFFSET, type SetupHeader, setupHeader } from './setup-header.ts';

export const ZERO_PAGE_BYTES = 4096;

/** Fields of `struct boot_params` outside the setup header (Linux, Documentation/arch/x86/zero-page.rst): offset and bytes. */
export const zeroPageFields = {
  acpi_rsdp_addr: [0x070, 8],
  ext_ramdisk_image: [0x0c0, 4],
  ext_ramdisk_size: [0x0c4, 4],
  ext_cmd_line_ptr: [0x0c8, 4],
  alt_mem_k: [0x1e0, 4],
  e820_entries: [0x1e8, 1],
  /** Must be 0: a loader that copied too much of the image leaves 0xFF here. */
  sentinel: [0x1ef, 1],
} as const;

const E820_TABLE = 0x2d0;
/** E820_MAX_ENTRIES_ZEROPAGE. */
export const E820_TABLE_ENTRIES = 128;

const e820Fields = { addr: 8, size: 8, type: 4 } as const;
/** `struct boot_e820_entry`. */
export const e820Entry: Structure<typeof e820Fields> = structure(e820Fields);

const UNDEFINED_LOADER = 0xff;
const VIDEO_MODE_NORMAL = 0xffff;
const FOUR_GIB = 2 ** 32;

/** What goes into a zero page. Addresses are guest-physical. */
export interface ZeroPageValues {
  readonly kernel: ParsedSetupHeader;
  readonly map: MemoryMap;
  readonly loadAddress: number;
  readonly commandLineAddress: number;
  readonly initrd?: { readonly gpa: number; readonly bytes: number };
  readonly acpiRsdp?: number;
}

/** Builds the zero page (`struct boot_params`): the image's setup header with the loader's fields filled in, and the memory map. */
export function buildZeroPage(values: ZeroPageValues): Uint8Array {
  const { kernel, map, initrd } = values;
  const page = new Uint8Array(ZERO_PAGE_BYTES);
  const set = (field: keyof typeof zeroPageFields, value: number): void =>
    writeUint(page, zeroPageFields[field][0], zeroPageFields[field][1], value);
  page.set(kernel.headerBytes, SETUP_HEADER_OFFSET);
  const loaderFields: Partial<SetupHeader> = {
    type_of_loader: UNDEFINED_LOADER,
    ext_loader_type: 0,
    ext_loader_ver: 0,
    vid_mode: VIDEO_MODE_NORMAL,
    code32_start: values.loadAddress % FOUR_GIB,
    cmd_line_ptr: values.commandLineAddress % FOUR_GIB,
    ramdisk_image: (initrd?.gpa ?? 0) % FOUR_GIB,
    ramdisk_size: (initrd?.bytes ?? 0) % FOUR_GIB,
    setup_data: 0,
  };
  setupHeader.encodeInto(page, SETUP_HEADER_OFFSET, loaderFields);
  set('ext_cmd_line_ptr', Math.floor(values.commandLineAddress / FOUR_GIB));
  set('ext_ramdisk_image', Math.floor((initrd?.gpa ?? 0) / FOUR_GIB));
  set('ext_ramdisk_size', Math.floor((initrd?.bytes ?? 0) / FOUR_GIB));
  set('acpi_rsdp_addr', values.acpiRsdp ?? 0);

  const entries = map.slice(0, E820_TABLE_ENTRIES);
  entries.forEach((entry, index) => {
    e820Entry.encodeInto(page, E820_TABLE + index * e820Entry.byteLength, { addr: entry.gpa, size: entry.bytes, type: entry.type });
  });
  set('e820_entries', entries.length);
  const high = map.find((entry) => entry.gpa === PcAddress.HIGH_MEMORY);
  set('alt_mem_k', Math.min(0xffff_ffff, (high?.bytes ?? 0) / 1024));
  return page;
}
