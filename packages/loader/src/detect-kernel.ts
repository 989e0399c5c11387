import { HEADER_MAGIC } from './bzimage/setup-header.ts';
import { isElf, Machine, parseElf } from './elf/elf-file.ts';
import { pvhEntry } from './elf/load-pvh.ts';
import { UnrecognizedImageError } from './errors.ts';
import { findMultibootHeader } from './multiboot/multiboot-header.ts';
import { readUint } from './structure.ts';

/** The kinds of kernel that `loadKernel` can start. */
export type KernelKind = 'bzImage' | 'elf-pvh' | 'multiboot1' | 'elf64';

interface Signature {
  readonly at: number;
  readonly bytes: readonly number[];
  readonly looksLike: string;
  readonly hint: string;
}

const text = (characters: string): number[] => [...characters].map((character) => character.charCodeAt(0));
const DECOMPRESS = 'Decompress it first; a bzImage holds its own decompressor.';
const OTHER_MACHINE = 'This machine is an x86-64 PC: use an amd64 kernel.';
const NOT_A_KERNEL = 'Give a bzImage, an ELF file with a PVH entry, or a Multiboot 1 kernel.';

/** Files that are often taken for a kernel, most telling first. */
const signatures: readonly Signature[] = [
  { at: 0x38, bytes: text('ARM\x64'), looksLike: 'an ARM64 Linux image', hint: OTHER_MACHINE },
  { at: 0x38, bytes: text('RSC\x05'), looksLike: 'a RISC-V Linux image', hint: OTHER_MACHINE },
  { at: 0, bytes: [0x1f, 0x8b], looksLike: 'gzip data', hint: DECOMPRESS },
  { at: 0, bytes: [0xfd, ...text('7zXZ'), 0], looksLike: 'xz data', hint: DECOMPRESS },
  { at: 0, bytes: [0x28, 0xb5, 0x2f, 0xfd], looksLike: 'zstd data', hint: DECOMPRESS },
  { at: 0, bytes: text('BZh'), looksLike: 'bzip2 data', hint: DECOMPRESS },
  { at: 0, bytes: [0x02, 0x21, 0x4c, 0x18], looksLike: 'LZ4 data', hint: DECOMPRESS },
  { at: 0, bytes: [0x04, 0x22, 0x4d, 0x18], looksLike: 'LZ4 data', hint: DECOMPRESS },
  { at: 0, bytes: text('070701'), looksLike: 'a cpio archive (an initrd)', hint: 'Give it as the initrd, and a kernel as the kernel.' },
  { at: 257, bytes: text('ustar'), looksLike: 'a tar archive', hint: 'Unpack it and give the kernel inside.' },
  { at: 0, bytes: text('!<arch>'), looksLike: 'an ar archive (a Debian package?)', hint: 'Unpack it and give the kernel in ./boot.' },
  { at: 0, bytes: text('PK\x03\x04'), looksLike: 'a zip archive', hint: 'Unpack it and give the kernel inside.' },
  { at: 0, bytes: text('QFI\xfb'), looksLike: 'a qcow2 disk image', hint: NOT_A_KERNEL },
  { at: 0, bytes: text('\0asm'), looksLike: 'a WebAssembly module', hint: NOT_A_KERNEL },
  { at: 0, bytes: [0x27, 0x05, 0x19, 0x56], looksLike: 'a U-Boot image', hint: OTHER_MACHINE },
  { at: 0, bytes: [0xcf, 0xfa, 0xed, 0xfe], looksLike: 'a Mach-O file', hint: NOT_A_KERNEL },
  { at: 32769, bytes: text('CD001'), looksLike: 'an ISO 9660 disc image', hint: 'Give the kernel inside, such as /boot/vmlinuz.' },
  { at: 0, bytes: text('MZ'), looksLike: 'a PE file (EFI only)', hint: 'It has no Linux setup header: use a kernel built with one.' },
  { at: 510, bytes: [0x55, 0xaa], looksLike: 'a boot sector', hint: 'Start it as a flat image at 0x7C00.' },
];

/**
 * Tells which kind of kernel an image is, from its bytes alone.
 *
 * @throws {UnrecognizedImageError} none: `looksLike` says what it resembles
 * @throws {ImageError} an ELF file that cannot be loaded, with what is wrong
 * @example
 * detectKernel(vmlinuz); // 'bzImage'
 */
export function detectKernel(image: Uint8Array): KernelKind {
  if (image.length === 0) throw new UnrecognizedImageError('an empty file', NOT_A_KERNEL);
  if (image.length >= 0x206 && readUint(image, 0x202, 4) === HEADER_MAGIC) return 'bzImage';
  if (isElf(image)) return detectElf(image);
  if (findMultibootHeader(image)?.addresses) return 'multiboot1';

  const signature = signatures.find(({ at, bytes }) => bytes.every((byte, index) => image[at + index] === byte));
  if (signature) throw new UnrecognizedImageError(signature.looksLike, signature.hint);
  if (looksLikeText(image)) throw new UnrecognizedImageError('text', NOT_A_KERNEL);
  throw new UnrecognizedImageError('raw data', 'Raw machine code can be started as a flat image.');
}

function detectElf(image: Uint8Array): KernelKind {
  const elf = parseElf(image);
  if (pvhEntry(elf) !== undefined) return 'elf-pvh';
  if (findMultibootHeader(image)) return 'multiboot1';
  if (elf.elfClass === 64 && elf.machine === Machine.X86_64) return 'elf64';
  throw new UnrecognizedImageError('a 32-bit ELF file with neither a PVH note nor a Multiboot header', NOT_A_KERNEL);
}

/** Valid UTF-8 without control characters; a character cut off at the end of the sample does not matter. */
function looksLikeText(image: Uint8Array): boolean {
  const sample = image.subarray(0, 512);
  try {
    new TextDecoder('utf-8', { fatal: true }).decode(sample, { stream: true });
  } catch {
    return false;
  }
  return sample.every((byte) => byte === 9 || byte === 10 || byte === 13 || (byte >= 32 && byte !== 127));
}
