import { MachineMemory, PAGE_BYTES } from '@minusone/memory';
import { expect, test } from 'vitest';
import { testPages } from '../../../../tests/kvm/vendors/test-pages.ts';
import { MsrBitmap } from './msr-bitmap.ts';

const memory = new MachineMemory({ ramBytes: 2 ** 20, reservedBytes: 2 ** 20 });

/** The bit of the page that the manual names (SDM Vol. 3C, 25.6.9 "MSR-Bitmap Address"). */
const bit = (bitmap: MsrBitmap, byte: number, at: number): number => ((memory.u8[bitmap.hpa + byte] as number) >>> at) & 1;

test('every MSR exits at first', () => {
  const { hpa } = new MsrBitmap(testPages(memory));
  expect(memory.u8.subarray(hpa, hpa + PAGE_BYTES).every((byte) => byte === 0xff)).toBe(true);
});

test('reads of MSRs 0 to 1FFFH stand at 0, of C0000000H ff. at 400H; writes 800H further', () => {
  const bitmap = new MsrBitmap(testPages(memory));
  expect(bitmap.set(0x174, false, true)).toBe(true);
  expect([bit(bitmap, 0x174 >>> 3, 4), bit(bitmap, 0x800 + (0x174 >>> 3), 4)]).toEqual([0, 1]);
  expect(bitmap.set(0xc000_0102, true, false)).toBe(true);
  expect([bit(bitmap, 0x400 + (0x102 >>> 3), 2), bit(bitmap, 0xc00 + (0x102 >>> 3), 2)]).toEqual([1, 0]);
  // The neighbours are as they were.
  expect([bit(bitmap, 0x174 >>> 3, 3), bit(bitmap, 0x174 >>> 3, 5)]).toEqual([1, 1]);
  bitmap.set(0x174, true, true);
  expect(bit(bitmap, 0x174 >>> 3, 4)).toBe(1);
});

test('an MSR outside the two ranges has no bits: it always exits', () => {
  const bitmap = new MsrBitmap(testPages(memory));
  expect(bitmap.set(0x4b56_4d00, false, false)).toBe(false);
  expect(bitmap.set(0x2000, false, false)).toBe(false);
  expect(bitmap.set(0xc001_0015 | 0, false, false)).toBe(false);
});
