import { InvalidSizeError } from './errors.ts';

const UNITS: Readonly<Record<string, number>> = { '': 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30 };
const PAGE = 4096;

/** Guest memory as people write it: a number of bytes, or text with K, M or G (powers of 1024). */
export type MemorySize = number | string;

/**
 * Bytes of a memory size.
 * @throws {InvalidSizeError} not a number with K, M or G, not a multiple of 4096, or less than 1 MiB
 * @example parseMemorySize('512M') // 536870912
 */
export function parseMemorySize(size: MemorySize): number {
  const match = /^(\d+(?:\.\d+)?)([KMG]?)(?:i?B)?$/i.exec(String(size).trim());
  if (match === null) throw new InvalidSizeError(String(size), 'Write a number of bytes, or one with K, M or G, such as 512M.');
  const bytes = Number(match[1]) * (UNITS[(match[2] as string).toUpperCase()] as number);
  if (bytes < 2 ** 20 || bytes % PAGE !== 0) throw new InvalidSizeError(String(size), 'Use at least 1M, a multiple of 4 KiB.');
  return bytes;
}
