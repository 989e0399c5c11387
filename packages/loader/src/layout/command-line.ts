import { InvalidArgumentError } from '@minusone/core';
import { CommandLineTooLongError } from '../errors.ts';

/**
 * A command line as a zero-terminated string of UTF-8.
 * @param limit most bytes without the terminator
 * @throws {CommandLineTooLongError} over the limit
 * @throws {InvalidArgumentError} it contains a zero byte
 */
export function encodeCommandLine(text: string, limit: number): Uint8Array {
  if (text.includes('\0')) throw new InvalidArgumentError('The command line contains a zero byte.', 'Remove it.', { text });
  const bytes = new TextEncoder().encode(`${text}\0`);
  if (bytes.length - 1 > limit) throw new CommandLineTooLongError(bytes.length - 1, limit);
  return bytes;
}
