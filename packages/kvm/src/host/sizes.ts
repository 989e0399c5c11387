import { InvalidArgumentError } from '@minusone/core';

const UNITS: Readonly<Record<string, number>> = { '': 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30 };

/**
 * Bytes of a size such as `64K`, `128M`, `1G`, or a number of bytes.
 * @throws {InvalidArgumentError} it is neither, or not positive
 */
export function bytesOf(size: number | string): number {
  const match = /^(\d+)([KMG]?)(?:i?B)?$/i.exec(String(size).trim());
  const bytes = match === null ? Number.NaN : Number(match[1]) * (UNITS[(match[2] as string).toUpperCase()] as number);
  if (!Number.isSafeInteger(bytes) || bytes <= 0) {
    throw new InvalidArgumentError(`"${size}" is not a size.`, 'Give bytes as a number, or text such as 64K, 128M or 1G.', { size });
  }
  return bytes;
}
