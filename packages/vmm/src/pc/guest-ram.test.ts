import { expect, test } from 'vitest';
import { GuestRam } from './guest-ram.ts';

const MIB = 2 ** 20;
const GIB = 2 ** 30;
/** Slots that hold RAM or ROM, as [start, end, read-only]. */
const layout = (ram: GuestRam) =>
  ram.physical
    .slots()
    .map(({ gpa, bytes, readOnly }) => [gpa, gpa + bytes, readOnly ?? false] as const)
    .sort((a, b) => a[0] - b[0]);

test('RAM stands at 0', () => {
  const ram = new GuestRam(16 * MIB);
  expect(layout(ram)).toEqual([[0, 16 * MIB, false]]);
  expect([ram.below4GiB, ram.above4GiB]).toEqual([16 * MIB, 0]);
});

test('what reaches beyond 3 GiB stands at 4 GiB: below it is the hole for devices', () => {
  const ram = new GuestRam(3 * GIB + 64 * MIB);
  expect([ram.below4GiB, ram.above4GiB]).toEqual([3 * GIB, 64 * MIB]);
  expect(layout(ram).slice(-2)).toEqual([
    [0, 3 * GIB, false],
    [4 * GIB, 4 * GIB + 64 * MIB, false],
  ]);
  ram.physical.write(4 * GIB + 64 * MIB - 4, Uint8Array.of(1, 2, 3, 4));
  expect([...ram.physical.read(4 * GIB + 64 * MIB - 4, 4)]).toEqual([1, 2, 3, 4]);
  expect(() => ram.physical.read(3 * GIB, 1)).toThrow();
});

test('a ROM below 1 MiB replaces RAM, one below 4 GiB stands beside it; both are read-only', () => {
  const bios = new Uint8Array(0x20000).fill(0xaa);
  const ram = new GuestRam(4 * MIB, [
    { gpa: 0x1_0000_0000 - bios.length, data: bios },
    { gpa: MIB - bios.length, data: bios },
  ]);
  expect(layout(ram)).toEqual([
    [0, 0xe0000, false],
    [0xe0000, MIB, true],
    [MIB, 4 * MIB, false],
    [0xfffe0000, 0x1_0000_0000, true],
  ]);
  expect(ram.physical.read(0xffff0, 1)[0]).toBe(0xaa);
  expect(ram.physical.read(0xfffffff0, 1)[0]).toBe(0xaa);
});

test('with the A20 gate closed each odd MiB shows the even one below; open again, it has its own bytes back', () => {
  const ram = new GuestRam(4 * MIB);
  ram.physical.write(0x500, Uint8Array.of(1));
  ram.physical.write(MIB + 0x500, Uint8Array.of(2));
  ram.setA20(false);
  expect(ram.physical.read(MIB + 0x500, 1)[0]).toBe(1);
  ram.physical.write(MIB + 0x501, Uint8Array.of(3));
  expect(ram.physical.read(0x501, 1)[0]).toBe(3);
  expect(ram.physical.read(3 * MIB + 0x500, 1)).toEqual(ram.physical.read(2 * MIB + 0x500, 1));
  ram.physical.write(3 * MIB + 0x700, Uint8Array.of(9));
  expect(ram.physical.read(2 * MIB + 0x700, 1)[0]).toBe(9);
  ram.setA20(true);
  ram.setA20(true);
  expect(ram.physical.read(3 * MIB + 0x700, 1)[0]).toBe(0);
  expect(ram.physical.read(MIB + 0x500, 2)).toEqual(Uint8Array.of(2, 0));
});

test('one MiB of RAM is enough', () => {
  const ram = new GuestRam(MIB);
  expect(layout(ram)).toEqual([[0, MIB, false]]);
  ram.setA20(false);
});
