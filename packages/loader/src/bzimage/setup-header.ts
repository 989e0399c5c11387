import { BadSetupHeaderError, BadSetupHeaderMagicError, No64BitEntryError, OldBootProtocolError, TruncatedImageError } from '../errors.ts';
import { alignUp, type IntegersOf, type Structure, structure } from '../structure.ts';

/** Where the setup header stands, in the image and in the zero page alike. */
export const SETUP_HEADER_OFFSET = 0x1f1;
export const SECTOR_BYTES = 512;
export const BOOT_FLAG = 0xaa55;
/** Where `edd_mbr_sig_buffer` starts in the zero page: the header's room ends there. */
const HEADER_LIMIT = 0x290;
/** "HdrS". */
export const HEADER_MAGIC = 0x5372_6448;

const setupHeaderFields = {
  setup_sects: 1,
  root_flags: 2,
  syssize: 4,
  ram_size: 2,
  vid_mode: 2,
  root_dev: 2,
  boot_flag: 2,
  jump: 2,
  header: 4,
  version: 2,
  realmode_swtch: 4,
  start_sys_seg: 2,
  kernel_version: 2,
  type_of_loader: 1,
  loadflags: 1,
  setup_move_size: 2,
  code32_start: 4,
  ramdisk_image: 4,
  ramdisk_size: 4,
  bootsect_kludge: 4,
  heap_end_ptr: 2,
  ext_loader_ver: 1,
  ext_loader_type: 1,
  cmd_line_ptr: 4,
  initrd_addr_max: 4,
  kernel_alignment: 4,
  relocatable_kernel: 1,
  min_alignment: 1,
  xloadflags: 2,
  cmdline_size: 4,
  hardware_subarch: 4,
  hardware_subarch_data: 8,
  payload_offset: 4,
  payload_length: 4,
  setup_data: 8,
  pref_address: 8,
  init_size: 4,
  handover_offset: 4,
  kernel_info_offset: 4,
} as const;

/** The setup header (Linux, Documentation/arch/x86/boot.rst, "The Real-Mode Kernel Header" and "Details of Header Fields"). */
export const setupHeader: Structure<typeof setupHeaderFields> = structure(setupHeaderFields);
export type SetupHeader = IntegersOf<typeof setupHeaderFields>;

/** Bits of `loadflags`. */
export const LOADED_HIGH = 0x01;
/** Bits of `xloadflags`. */
export const XLF_KERNEL_64 = 0x01;
export const XLF_CAN_BE_LOADED_ABOVE_4G = 0x02;

/** Protocol versions that brought the fields we use. */
const Protocol = { CMDLINE_SIZE: 0x206, PREF_ADDRESS: 0x20a, XLOADFLAGS: 0x20c } as const;

/** A setup header that holds together, with what follows from it. */
export interface ParsedSetupHeader {
  readonly header: SetupHeader;
  /** The bytes of the header, from 0x1F1 to the end that its jump instruction tells. */
  readonly headerBytes: Uint8Array;
  /** The protected-mode part of the image. */
  readonly payload: Uint8Array;
  /** Where the kernel prefers to be, and how many bytes of RAM it needs there until it has set itself up. */
  readonly preferredAddress: number;
  readonly initBytes: number;
  readonly alignment: number;
  readonly isRelocatable: boolean;
  readonly has64BitEntry: boolean;
  readonly canBeLoadedAbove4G: boolean;
}

/**
 * Reads and checks the setup header of a bzImage for one of its entries.
 *
 * @throws {TruncatedImageError} the file ends in the header or in the protected-mode part
 * @throws {BadSetupHeaderMagicError} `boot_flag` or `header` is wrong
 * @throws {OldBootProtocolError} older than 2.06 (32-bit entry) or 2.12 (64-bit entry)
 * @throws {No64BitEntryError} XLF_KERNEL_64 is 0, for the 64-bit entry
 * @throws {BadSetupHeaderError} another field makes no sense
 */
export function parseSetupHeader(image: Uint8Array, entry: '64-bit' | '32-bit' = '64-bit'): ParsedSetupHeader {
  const versionEnd = SETUP_HEADER_OFFSET + setupHeader.offsetOf('version') + 2;
  if (image.length < versionEnd) throw new TruncatedImageError('The setup header', versionEnd, image.length);

  // The header may be shorter than what we know (older kernels): the fields behind its end read as zero.
  const headerEnd = 0x202 + (image[0x201] as number);
  const known = new Uint8Array(setupHeader.byteLength);
  known.set(image.subarray(SETUP_HEADER_OFFSET, Math.min(headerEnd, SETUP_HEADER_OFFSET + known.length)));
  const header = setupHeader.decode(known);

  if (header.boot_flag !== BOOT_FLAG) throw new BadSetupHeaderMagicError('boot_flag', header.boot_flag, BOOT_FLAG);
  if (header.header !== HEADER_MAGIC) throw new BadSetupHeaderMagicError('header', header.header, HEADER_MAGIC);
  const needed = entry === '64-bit' ? Protocol.XLOADFLAGS : Protocol.CMDLINE_SIZE;
  if (header.version < needed) throw new OldBootProtocolError(header.version, needed, entry);
  if (image.length < headerEnd) throw new TruncatedImageError('The setup header', headerEnd, image.length);
  if (headerEnd > HEADER_LIMIT)
    throw new BadSetupHeaderError('jump', header.jump, 'the header would run into the zero page fields behind it');

  // xloadflags says nothing before 2.12; those two bytes were padding.
  const xloadflags = header.version >= Protocol.XLOADFLAGS ? header.xloadflags : 0;
  if (entry === '64-bit' && !(xloadflags & XLF_KERNEL_64)) throw new No64BitEntryError(xloadflags);
  if (!(header.loadflags & LOADED_HIGH)) {
    throw new BadSetupHeaderError('loadflags', header.loadflags, 'LOADED_HIGH is 0: a zImage, which runs below 640 KiB');
  }
  const { kernel_alignment: alignment, initrd_addr_max } = header;
  const isRelocatable = header.relocatable_kernel !== 0;
  if (isRelocatable && !isPowerOfTwo(alignment)) throw new BadSetupHeaderError('kernel_alignment', alignment, 'it is no power of two');
  if (initrd_addr_max === 0) throw new BadSetupHeaderError('initrd_addr_max', 0, 'no initrd could ever be placed');

  // boot.rst: for backwards compatibility, a setup_sects of 0 means 4. The boot sector comes first.
  const setupBytes = ((header.setup_sects || 4) + 1) * SECTOR_BYTES;
  if (header.syssize === 0) throw new BadSetupHeaderError('syssize', 0, 'there is no protected-mode part');
  // syssize counts paragraphs of 16 bytes, the last of which need not be whole.
  const neededBytes = setupBytes + header.syssize * 16 - 15;
  if (image.length < neededBytes) throw new TruncatedImageError('The protected-mode part', neededBytes, image.length);
  const payload = image.subarray(setupBytes);

  const hasPreference = header.version >= Protocol.PREF_ADDRESS;
  const preferredAddress = hasPreference ? header.pref_address : 0x10_0000;
  if (preferredAddress < 0x10_0000) throw new BadSetupHeaderError('pref_address', preferredAddress, 'it is below 1 MiB');
  return {
    header,
    headerBytes: image.slice(SETUP_HEADER_OFFSET, headerEnd),
    payload,
    // "Runtime start address" in boot.rst: a relocatable kernel runs at the next multiple of its alignment.
    preferredAddress: isRelocatable ? alignUp(preferredAddress, alignment) : preferredAddress,
    initBytes: Math.max(hasPreference ? header.init_size : 0, payload.length),
    alignment,
    isRelocatable,
    has64BitEntry: (xloadflags & XLF_KERNEL_64) !== 0,
    canBeLoadedAbove4G: (xloadflags & XLF_CAN_BE_LOADED_ABOVE_4G) !== 0,
  };
}

function isPowerOfTwo(value: number): boolean {
  return value > 0 && Number.isInteger(Math.log2(value));
}
