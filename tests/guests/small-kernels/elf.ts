/** What goes into a small ELF executable: one segment, its address physical and virtual, and notes. */
export interface ElfParts {
  readonly bits: 32 | 64;
  readonly code: Uint8Array;
  readonly address: number;
  readonly entry: number;
  readonly note?: { readonly name: string; readonly type: number; readonly descriptor: Uint8Array };
}

const PT_LOAD = 1;
const PT_NOTE = 4;
const EM_386 = 3;
const EM_X86_64 = 62;
const CODE_OFFSET = 0x1000;
const NOTE_OFFSET = 0x200;

/** Little-endian fields, one after the other: [bytes, value]. */
function fields(...list: readonly (readonly [bytes: 1 | 2 | 4 | 8, value: number])[]): Uint8Array {
  const out: number[] = [];
  for (const [bytes, value] of list) for (let i = 0, rest = BigInt(value); i < bytes; i++, rest >>= 8n) out.push(Number(rest & 0xffn));
  return Uint8Array.from(out);
}

function noteBytes(note: NonNullable<ElfParts['note']>): Uint8Array {
  const name = Buffer.from(`${note.name}\0`);
  const padded = (bytes: Uint8Array): Buffer => Buffer.concat([bytes, Buffer.alloc((4 - (bytes.length % 4)) % 4)]);
  return Buffer.concat([fields([4, name.length], [4, note.descriptor.length], [4, note.type]), padded(name), padded(note.descriptor)]);
}

/** An executable of the System V ABI ("Object Files"), made by hand. */
export function elf({ bits, code, address, entry, note }: ElfParts): Uint8Array {
  const is64 = bits === 64;
  const word = is64 ? 8 : 4;
  const headerBytes = is64 ? 64 : 52;
  const programHeaderBytes = is64 ? 56 : 32;
  const notes = note === undefined ? new Uint8Array(0) : noteBytes(note);
  const programHeader = (type: number, offset: number, at: number, size: number): Uint8Array =>
    is64
      ? fields([4, type], [4, 7], [8, offset], [8, at], [8, at], [8, size], [8, size], [8, 4])
      : fields([4, type], [4, offset], [4, at], [4, at], [4, size], [4, size], [4, 7], [4, 4]);
  const programHeaders = [programHeader(PT_LOAD, CODE_OFFSET, address, code.length)];
  if (note !== undefined) programHeaders.push(programHeader(PT_NOTE, NOTE_OFFSET, 0, notes.length));
  const header = Buffer.concat([
    Buffer.from([0x7f, 0x45, 0x4c, 0x46, is64 ? 2 : 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
    fields([2, 2], [2, is64 ? EM_X86_64 : EM_386], [4, 1], [word, entry], [word, headerBytes], [word, 0], [4, 0]),
    fields([2, headerBytes], [2, programHeaderBytes], [2, programHeaders.length], [2, 0], [2, 0], [2, 0]),
  ]);
  const file = new Uint8Array(CODE_OFFSET + code.length);
  file.set(header, 0);
  file.set(Buffer.concat(programHeaders), headerBytes);
  file.set(notes, NOTE_OFFSET);
  file.set(code, CODE_OFFSET);
  return file;
}
