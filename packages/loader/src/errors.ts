import { MinusOneError } from '@minusone/core';
import { hex } from './structure.ts';

/** Base of everything that may be wrong with a kernel, initrd, command line or firmware image. */
export class ImageError extends MinusOneError {}

/** The image ends before what its own header promises. Code `IMAGE_TRUNCATED`. */
export class TruncatedImageError extends ImageError {
  constructor(what: string, neededBytes: number, haveBytes: number) {
    super('IMAGE_TRUNCATED', `${what} needs ${neededBytes} bytes of the image, which has ${haveBytes}.`, {
      hint: 'The file is cut short: copy or download it again.',
      details: { what, neededBytes, haveBytes },
    });
  }
}

/** No loader knows these bytes; `looksLike` says what they resemble. Code `IMAGE_UNRECOGNIZED`. */
export class UnrecognizedImageError extends ImageError {
  readonly looksLike: string;
  constructor(looksLike: string, hint: string, details: Record<string, unknown> = {}) {
    super('IMAGE_UNRECOGNIZED', `This is no kernel that can be started: it looks like ${looksLike}.`, {
      hint,
      details: { looksLike, ...details },
    });
    this.looksLike = looksLike;
  }
}

/** Something does not fit into the guest's RAM. Code `DOES_NOT_FIT`. */
export class DoesNotFitError extends ImageError {
  constructor(what: string, bytes: number, where: string, details: Record<string, unknown> = {}, code = 'DOES_NOT_FIT') {
    super(code, `${what} (${bytes} bytes) does not fit into the guest's RAM ${where}.`, {
      hint: 'Give the guest more memory, or use a smaller image.',
      details: { what, bytes, where, ...details },
    });
  }
}

/** The initrd does not fit below the highest address that the kernel allows. Code `INITRD_DOES_NOT_FIT`. */
export class InitrdDoesNotFitError extends DoesNotFitError {
  constructor(bytes: number, highestAddress: number) {
    super('The initrd', bytes, `below ${hex(highestAddress + 1)}`, { highestAddress }, 'INITRD_DOES_NOT_FIT');
  }
}

/** Two parts of an image ask for the same guest memory. Code `IMAGE_OVERLAP`. */
export class OverlapError extends ImageError {
  constructor(what: string, gpa: number, bytes: number, other: string) {
    super('IMAGE_OVERLAP', `${what} at ${hex(gpa)} (${bytes} bytes) overlaps ${other}.`, {
      hint: 'Link the image so that its parts do not overlap, above 1 MiB.',
      details: { what, gpa, bytes, other },
    });
  }
}

/** The command line is longer than the kernel takes. Code `COMMAND_LINE_TOO_LONG`. */
export class CommandLineTooLongError extends ImageError {
  constructor(bytes: number, limit: number) {
    super('COMMAND_LINE_TOO_LONG', `The command line has ${bytes} bytes; the kernel takes at most ${limit}.`, {
      hint: 'Shorten it.',
      details: { bytes, limit },
    });
  }
}

/** A bzImage without the magic numbers of its setup header. Code `BZIMAGE_BAD_MAGIC`. */
export class BadSetupHeaderMagicError extends ImageError {
  constructor(field: string, value: number, expected: number) {
    super('BZIMAGE_BAD_MAGIC', `The setup header's ${field} is ${hex(value)}, not ${hex(expected)}.`, {
      hint: 'This is not a Linux bzImage; detectKernel says what it looks like.',
      details: { field, value, expected },
    });
  }
}

/** A field of the setup header makes no sense. Code `BZIMAGE_BAD_HEADER`. */
export class BadSetupHeaderError extends ImageError {
  constructor(field: string, value: number, reason: string) {
    super('BZIMAGE_BAD_HEADER', `The setup header's ${field} is ${hex(value)}: ${reason}.`, {
      hint: 'The image is damaged or not a bzImage: take it from its package again.',
      details: { field, value, reason },
    });
  }
}

/** The boot protocol is older than the chosen entry needs. Code `BZIMAGE_OLD_PROTOCOL`. */
export class OldBootProtocolError extends ImageError {
  constructor(version: number, needed: number, entry: string) {
    const name = (value: number): string => `${value >>> 8}.${(value & 0xff).toString().padStart(2, '0')}`;
    super('BZIMAGE_OLD_PROTOCOL', `The kernel speaks boot protocol ${name(version)}; the ${entry} entry needs ${name(needed)}.`, {
      hint: entry === '64-bit' ? 'Use Linux 3.8 or newer, or ask for the 32-bit entry.' : 'Use Linux 2.6.22 or newer.',
      details: { version, needed, entry },
    });
  }
}

/** The kernel has no 64-bit entry point (XLF_KERNEL_64 is 0). Code `BZIMAGE_NO_64BIT_ENTRY`. */
export class No64BitEntryError extends ImageError {
  constructor(xloadflags: number) {
    super('BZIMAGE_NO_64BIT_ENTRY', `The kernel has no 64-bit entry: XLF_KERNEL_64 is 0 in xloadflags ${hex(xloadflags)}.`, {
      hint: 'It is a 32-bit kernel: ask for the 32-bit entry, or use an amd64 kernel.',
      details: { xloadflags },
    });
  }
}

/** An ELF file that cannot be loaded; the message says which rule it breaks. Code `ELF_INVALID`. */
export class BadElfError extends ImageError {
  constructor(reason: string, details: Record<string, unknown> = {}) {
    super('ELF_INVALID', `The ELF file cannot be loaded: ${reason}.`, {
      hint: 'Check it with `readelf -hl`: it must be a statically linked x86 executable.',
      details: { reason, ...details },
    });
  }
}

/** An ELF file without the note XEN_ELFNOTE_PHYS32_ENTRY. Code `ELF_NO_PVH_ENTRY`. */
export class NoPvhEntryError extends ImageError {
  constructor() {
    super('ELF_NO_PVH_ENTRY', 'The ELF file has no PVH entry (a note "Xen" of type 18).', {
      hint: 'Build Linux with CONFIG_PVH=y, or load the file as `elf64`.',
    });
  }
}

/** No Multiboot header in the first 8192 bytes. Code `MULTIBOOT_NO_HEADER`. */
export class NoMultibootHeaderError extends ImageError {
  constructor() {
    super('MULTIBOOT_NO_HEADER', 'There is no Multiboot header in the first 8192 bytes of the image.', {
      hint: 'The header starts with 0x1BADB002, is 4-byte aligned, and its first three words add up to 0.',
    });
  }
}

/** The Multiboot header requires or says what cannot be had. Code `MULTIBOOT_BAD_HEADER`. */
export class BadMultibootHeaderError extends ImageError {
  constructor(reason: string, details: Record<string, unknown> = {}) {
    super('MULTIBOOT_BAD_HEADER', `The Multiboot header cannot be served: ${reason}.`, {
      hint: 'See "The layout of Multiboot header" in the Multiboot Specification 0.6.96.',
      details: { reason, ...details },
    });
  }
}

/** The size of a BIOS image is not a multiple of 4 KiB between 4 KiB and 16 MiB. Code `BIOS_IMAGE_SIZE`. */
export class BiosImageSizeError extends ImageError {
  constructor(bytes: number) {
    super('BIOS_IMAGE_SIZE', `A BIOS image of ${bytes} bytes cannot be mapped.`, {
      hint: 'Its size must be a multiple of 4096, from 4096 to 16777216; pad it at its front.',
      details: { bytes },
    });
  }
}

/** A flat image cannot start where it is asked to. Code `FLAT_IMAGE_ADDRESS`. */
export class FlatImageAddressError extends ImageError {
  constructor(address: number, reason: string) {
    super('FLAT_IMAGE_ADDRESS', `A flat image cannot start at ${hex(address)}: ${reason}.`, {
      hint: 'It starts in real mode at CS = address >> 4, IP = address & 15: choose a whole number below 0x100000.',
      details: { address, reason },
    });
  }
}

/** The ACPI tables need more room than the area that the memory map sets aside. Code `ACPI_AREA`. */
export class AcpiAreaError extends MinusOneError {
  constructor(bytes: number, areaBytes: number) {
    super('ACPI_AREA', `The ACPI tables take ${bytes} bytes; the memory map has an area of ${areaBytes} for them.`, {
      hint: 'memoryMap() sets an area aside for guests with at least 1 MiB of RAM.',
      details: { bytes, areaBytes },
    });
  }
}
