import { Decoder } from '../decode/decoder.ts';
import type { Insn } from '../decode/insn.ts';
import { instructionTable } from '../instructions/index.ts';
import { formatInsn, type NameAddress } from './format.ts';

/** One line of a listing. */
export interface DisassembledLine {
  readonly address: bigint;
  readonly bytes: Uint8Array;
  /** `(bad)` where the bytes are no instruction. */
  readonly text: string;
  /** Undefined where the bytes are no instruction. */
  readonly insn: Insn | undefined;
}

/** How to disassemble. */
export interface DisassembleOptions {
  /** Code size. Default 64. */
  readonly bits?: 16 | 32 | 64;
  /** Address of the first byte. Default 0. */
  readonly address?: bigint | number;
  /** Symbols for targets. */
  readonly name?: NameAddress;
  /** Decoder to use. Default: everything that the table knows. */
  readonly decoder?: Decoder;
}

let everything: Decoder | undefined;

/**
 * Disassembles bytes, one line an instruction; a byte that begins no instruction is a line of its own.
 *
 * @example [...disassemble(new Uint8Array([0x0f, 0xa2]))][0].text // 'cpuid'
 */
export function* disassemble(bytes: Uint8Array, options: DisassembleOptions = {}): Generator<DisassembledLine> {
  everything ??= new Decoder(instructionTable);
  const decoder = options.decoder ?? everything;
  const start = BigInt(options.address ?? 0);
  for (let at = 0; at < bytes.length; ) {
    const address = start + BigInt(at);
    const insn = decoder.decode(bytes, at, bytes.length, options.bits ?? 64);
    const length = typeof insn === 'string' ? 1 : insn.length;
    yield {
      address,
      bytes: bytes.slice(at, at + length),
      text: typeof insn === 'string' ? '(bad)' : formatInsn(insn, address, options.name),
      insn: typeof insn === 'string' ? undefined : insn,
    };
    at += length;
  }
}
