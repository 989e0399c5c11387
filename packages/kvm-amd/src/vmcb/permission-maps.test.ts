import { MachineMemory, PAGE_BYTES } from '@minusone/memory';
import { expect, test } from 'vitest';
import { testPages } from '../../../../tests/kvm/vendors/test-pages.ts';
import { ioPermissionMap, MsrPermissionMap } from './permission-maps.ts';

const memory = new MachineMemory({ ramBytes: 2 ** 20, reservedBytes: 2 ** 20 });

/** The bit of the map that the manual names, by byte offset and bit (APM Vol. 2 15.11). */
const bit = (map: MsrPermissionMap, byte: number, at: number): number => ((memory.u8[map.hpa + byte] as number) >>> at) & 1;

test('every MSR exits at first (APM Vol. 2 15.11)', () => {
  const map = new MsrPermissionMap(testPages(memory));
  expect(memory.u8.subarray(map.hpa, map.hpa + 2 * PAGE_BYTES).every((byte) => byte === 0xff)).toBe(true);
});

test('MSRs 0 to 1FFFH stand at 0, C0000000H ff. at 800H, C0010000H ff. at 1000H; reads in the lower bit', () => {
  const map = new MsrPermissionMap(testPages(memory));
  expect(map.set(0x174, false, true)).toBe(true);
  expect([bit(map, 0x174 >>> 2, 0), bit(map, 0x174 >>> 2, 1)]).toEqual([0, 1]);
  expect(map.set(0xc000_0102, true, false)).toBe(true);
  expect([bit(map, 0x800 + (0x102 >>> 2), 4), bit(map, 0x800 + (0x102 >>> 2), 5)]).toEqual([1, 0]);
  expect(map.set(0xc001_0015, false, false)).toBe(true);
  expect([bit(map, 0x1000 + (0x15 >>> 2), 2), bit(map, 0x1000 + (0x15 >>> 2), 3)]).toEqual([0, 0]);
  map.set(0xc001_0015, true, true);
  expect(bit(map, 0x1000 + (0x15 >>> 2), 2)).toBe(1);
});

test('an MSR outside the ranges has no bits: it always exits', () => {
  expect(new MsrPermissionMap(testPages(memory)).set(0x4b56_4d00, false, false)).toBe(false);
});

test('every port exits, also of an access that runs over FFFFH (APM Vol. 2 15.10.1)', () => {
  const hpa = ioPermissionMap(testPages(memory));
  expect(memory.u8.subarray(hpa, hpa + 3 * PAGE_BYTES).every((byte) => byte === 0xff)).toBe(true);
});
