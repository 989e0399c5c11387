import { expect, test } from 'vitest';
import { InvalidSizeError } from './errors.ts';
import { parseMemorySize } from './memory-size.ts';

test.each([
  [2 ** 20, 2 ** 20],
  ['1048576', 2 ** 20],
  ['1024K', 2 ** 20],
  ['512M', 512 * 2 ** 20],
  ['1.5G', 1.5 * 2 ** 30],
  ['3G', 3 * 2 ** 30],
  [' 64m ', 64 * 2 ** 20],
  ['64MB', 64 * 2 ** 20],
  ['64MiB', 64 * 2 ** 20],
])('%j is %i bytes: K, M and G are powers of 1024', (text, bytes) => expect(parseMemorySize(text)).toBe(bytes));

test.each(['', 'much', '-1M', '12X', '1e9', 'M', '0x100000', Number.NaN, Number.POSITIVE_INFINITY])('%j is no size', (text) => {
  expect(() => parseMemorySize(text)).toThrow(InvalidSizeError);
});

test.each([0, 4096, '1023K', '1048577', 2 ** 20 + 0.5, '1.0001M'])('%j is too little, or not whole pages', (text) => {
  expect(() => parseMemorySize(text)).toThrow(/at least 1M, a multiple of 4 KiB|not a memory size/);
});
