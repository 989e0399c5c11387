import { UsageError } from '../errors.ts';
import { oneOf, type ParsedOptions, wholeNumber } from '../options/option.ts';
import { readNamedFile } from '../options/read-file.ts';
import type { CliIo } from '../terminal/cli-io.ts';
import type { Command } from './command.ts';

const BITS = ['16', '32', '64'] as const;
/** Bytes shown beside an instruction; the longest have 15. */
const BYTES_COLUMN = 2 * 15;
/** Lines are written in pieces of about this many characters. */
const PIECE_CHARACTERS = 1 << 16;
const HIGHEST_ADDRESS = (1n << 64n) - 1n;

function addressOf(text: string): bigint {
  const value = /^(0x[0-9a-f]+|\d+)$/i.test(text) ? BigInt(text) : -1n;
  if (value < 0n || value > HIGHEST_ADDRESS)
    throw new UsageError(`'${text}' is no possible address.`, 'Use a number of at most 64 bits, such as 0x7c00.', { text });
  return value;
}

/** `minusone disasm`. */
export const disasmCommand: Command = {
  name: 'disasm',
  summary: 'disassemble raw bytes',
  operands: ['FILE'],
  options: [
    { name: 'bits', value: '16|32|64', help: 'code size; default 64' },
    { name: 'address', value: 'ADDR', help: 'address of the first byte shown; default 0' },
    { name: 'offset', value: 'N', help: 'bytes of the file to skip; default 0' },
    { name: 'length', value: 'N', help: 'bytes to disassemble; default: up to the end' },
  ],
  details: "One line an instruction: address, bytes, text as @minusone/asm reads it. FILE '-' is standard input.",
  async run(options, io) {
    const bytes = await bytesOf(options, io);
    const { disassemble } = await import('@minusone/x86');
    const bits = Number(oneOf('code size', options.value('bits') ?? '64', BITS)) as 16 | 32 | 64;
    const address = addressOf(options.value('address') ?? '0');
    const digits = Math.max(8, (address + BigInt(bytes.length)).toString(16).length);
    let isClosed = false;
    io.onOutputClosed(() => {
      isClosed = true;
    });
    let text = '';
    for (const line of disassemble(bytes, { bits, address })) {
      const hex = [...line.bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');
      text += `${BigInt.asUintN(64, line.address).toString(16).padStart(digits, '0')}  ${hex.padEnd(BYTES_COLUMN)}  ${line.text}\n`;
      if (text.length < PIECE_CHARACTERS) continue;
      io.out(text);
      text = '';
      await new Promise((resolve) => setImmediate(resolve)); // lets a closed pipe be noticed
      if (isClosed) return 1;
    }
    io.out(text);
    return 0;
  },
};

async function bytesOf(options: ParsedOptions, io: CliIo): Promise<Uint8Array> {
  const [path] = options.operands;
  if (path === undefined) throw new UsageError('There is nothing to disassemble.', 'Write `minusone disasm FILE`.');
  const file = path === '-' ? await io.input.readAll() : await readNamedFile(path);
  const offset = wholeNumber('offset', options.value('offset') ?? '0', 0, file.length);
  const length = options.value('length');
  return file.subarray(offset, length === undefined ? undefined : offset + wholeNumber('length', length, 0, file.length - offset));
}
