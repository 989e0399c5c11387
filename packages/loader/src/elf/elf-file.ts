import { BadElfError, TruncatedImageError } from '../errors.ts';
import { alignUp, readBigUint, structure } from '../structure.ts';

/** e_machine values (System V gABI, "ELF Header"). */
export const Machine = { I386: 3, X86_64: 62 } as const;
const ET_EXEC = 2;
const ET_DYN = 3;
const PT_LOAD = 1;
const PT_INTERP = 3;
const PT_NOTE = 4;

/** e_ident up to EI_VERSION; the rest of the header depends on the class. */
const headerOf = (word: 4 | 8) =>
  structure({
    e_ident: { raw: 16 },
    e_type: 2,
    e_machine: 2,
    e_version: 4,
    e_entry: word,
    e_phoff: word,
    e_shoff: word,
    e_flags: 4,
    e_ehsize: 2,
    e_phentsize: 2,
    e_phnum: 2,
    e_shentsize: 2,
    e_shnum: 2,
    e_shstrndx: 2,
  });
const elf32Header = headerOf(4);
const elf64Header = headerOf(8);

const elf32ProgramHeader = structure({
  p_type: 4,
  p_offset: 4,
  p_vaddr: 4,
  p_paddr: 4,
  p_filesz: 4,
  p_memsz: 4,
  p_flags: 4,
  p_align: 4,
});
const elf64ProgramHeader = structure({
  p_type: 4,
  p_flags: 4,
  p_offset: 8,
  p_vaddr: 8,
  p_paddr: 8,
  p_filesz: 8,
  p_memsz: 8,
  p_align: 8,
});

/** A program header, the same for both classes. Virtual addresses are exact; other numbers above 2 ** 53 are rounded, and out of bounds. */
export interface ElfSegment {
  readonly p_type: number;
  readonly p_offset: number;
  readonly p_vaddr: bigint;
  readonly p_paddr: number;
  readonly p_filesz: number;
  readonly p_memsz: number;
}

/** Far above what kernels have; it bounds the work on a damaged file. */
const PROGRAM_HEADER_LIMIT = 1024;

/** An ELF file for x86 that was checked against its own length. */
export interface ElfFile {
  readonly image: Uint8Array;
  readonly elfClass: 32 | 64;
  readonly machine: number;
  /** `e_entry` as it stands: virtual or physical, see `physicalEntry`. */
  readonly entry: bigint;
  /** The loadable segments with a size, in file order. */
  readonly segments: readonly ElfSegment[];
  /** The contents of the note segments. */
  readonly notes: readonly ElfNote[];
}

/** A note (gABI, "Note Section"). */
export interface ElfNote {
  readonly name: string;
  readonly type: number;
  readonly descriptor: Uint8Array;
}

/** True where the bytes start with the ELF magic. */
export function isElf(image: Uint8Array): boolean {
  return image[0] === 0x7f && image[1] === 0x45 && image[2] === 0x4c && image[3] === 0x46;
}

/**
 * Reads an ELF executable for x86 of either class.
 * @throws {TruncatedImageError} a header or a segment lies outside the file
 * @throws {BadElfError} not ELF, not little-endian, not x86, not an executable, or without anything to load
 */
export function parseElf(image: Uint8Array): ElfFile {
  if (!isElf(image)) throw new BadElfError('it does not start with the ELF magic');
  if (image.length < 16) throw new TruncatedImageError('The ELF header', 16, image.length);
  const elfClass = image[4] === 1 ? 32 : image[4] === 2 ? 64 : undefined;
  if (!elfClass) throw new BadElfError(`EI_CLASS is ${image[4]}, neither 1 (32-bit) nor 2 (64-bit)`);
  if (image[5] !== 1) throw new BadElfError(`EI_DATA is ${image[5]}, not 1 (little-endian)`);

  const headerLayout = elfClass === 64 ? elf64Header : elf32Header;
  if (image.length < headerLayout.byteLength) throw new TruncatedImageError('The ELF header', headerLayout.byteLength, image.length);
  const header = headerLayout.decode(image);
  if (header.e_machine !== Machine.I386 && header.e_machine !== Machine.X86_64) {
    throw new BadElfError(`e_machine is ${header.e_machine}, neither 3 (386) nor 62 (x86-64)`, { machine: header.e_machine });
  }
  if (header.e_type !== ET_EXEC && header.e_type !== ET_DYN) {
    throw new BadElfError(`e_type is ${header.e_type}, not an executable (2 or 3)`, { type: header.e_type });
  }

  const programHeaders = readProgramHeaders(image, elfClass, header.e_phoff, header.e_phentsize, header.e_phnum);
  if (programHeaders.some((segment) => segment.p_type === PT_INTERP)) throw new BadElfError('it wants a dynamic linker (PT_INTERP)');
  const segments = programHeaders.filter((segment) => segment.p_type === PT_LOAD && segment.p_memsz > 0);
  if (segments.length === 0) throw new BadElfError('it has no segment to load (PT_LOAD)');
  for (const segment of segments) {
    requireInFile('A segment', image, segment.p_offset, segment.p_filesz);
    if (segment.p_filesz > segment.p_memsz) throw new BadElfError('a segment has more bytes in the file than in memory', { ...segment });
  }
  const noteSegments = programHeaders.filter((segment) => segment.p_type === PT_NOTE);
  const noteBytes = noteSegments.reduce((sum, segment) => sum + segment.p_filesz, 0);
  if (noteBytes > image.length) throw new TruncatedImageError('The note segments', noteBytes, image.length);
  const entry = readBigUint(image, headerLayout.offsetOf('e_entry'), elfClass === 64 ? 8 : 4);
  const notes = noteSegments.flatMap((segment) => readNotes(image, segment));
  return { image, elfClass, machine: header.e_machine, entry, segments, notes };
}

function readProgramHeaders(image: Uint8Array, elfClass: 32 | 64, offset: number, entryBytes: number, count: number): ElfSegment[] {
  const layout = elfClass === 64 ? elf64ProgramHeader : elf32ProgramHeader;
  if (count > 0 && entryBytes < layout.byteLength) throw new BadElfError(`e_phentsize is ${entryBytes}, less than ${layout.byteLength}`);
  if (count > PROGRAM_HEADER_LIMIT) throw new BadElfError(`e_phnum is ${count}, more than ${PROGRAM_HEADER_LIMIT}`);
  requireInFile('The program header table', image, offset, entryBytes * count);
  return Array.from({ length: count }, (_, index) => {
    const at = offset + index * entryBytes;
    return { ...layout.decode(image, at), p_vaddr: readBigUint(image, at + layout.offsetOf('p_vaddr'), elfClass === 64 ? 8 : 4) };
  });
}

/** Names and descriptors are padded to 4 bytes. A note that runs over the segment's end ends the list. */
function readNotes(image: Uint8Array, segment: ElfSegment): ElfNote[] {
  requireInFile('A note segment', image, segment.p_offset, segment.p_filesz);
  const bytes = image.subarray(segment.p_offset, segment.p_offset + segment.p_filesz);
  const layout = structure({ n_namesz: 4, n_descsz: 4, n_type: 4 });
  const notes: ElfNote[] = [];
  for (let offset = 0; offset + layout.byteLength <= bytes.length; ) {
    const { n_namesz, n_descsz, n_type } = layout.decode(bytes, offset);
    const nameStart = offset + layout.byteLength;
    const descriptorStart = nameStart + alignUp(n_namesz, 4);
    if (descriptorStart + n_descsz > bytes.length) break;
    const name = String.fromCharCode(...bytes.subarray(nameStart, nameStart + Math.min(n_namesz, 64))).replace(/\0.*$/s, '');
    notes.push({ name, type: n_type, descriptor: bytes.subarray(descriptorStart, descriptorStart + n_descsz) });
    offset = descriptorStart + alignUp(n_descsz, 4);
  }
  return notes;
}

function requireInFile(what: string, image: Uint8Array, offset: number, bytes: number): void {
  if (offset + bytes > image.length) throw new TruncatedImageError(what, offset + bytes, image.length);
}
