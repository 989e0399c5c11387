import { MachineMemory } from '@minusone/memory';
import { expect, test } from 'vitest';
import { PageAllocator } from '../host/page-allocator.ts';
import type { SecondStageFormat } from '../vendor/second-stage-format.ts';
import { largePageAt, SecondStageTables } from './second-stage.ts';

/** The simplest format there could be: bit 0 present, bit 1 writable, bit 7 a page. */
const format: SecondStageFormat = {
  table: (hpa) => ({ low: hpa | 3, high: 0 }),
  leaf: (hpa, level, writable) => ({ low: hpa | 1 | (writable ? 2 : 0) | (level === 2 ? 0x80 : 0), high: 0 }),
  absent: { low: 0, high: 0 },
  isPresent: (low) => (low & 1) !== 0,
  isLeaf: (low, _high, level) => level === 1 || (low & 0x80) !== 0,
  isWritable: (low) => (low & 2) !== 0,
  address: (low) => (low & ~0xfff) >>> 0,
};

function tables(): { tables: SecondStageTables; pages: PageAllocator } {
  const memory = new MachineMemory({ ramBytes: 4 * 2 ** 20, reservedBytes: 0 });
  const pages = new PageAllocator(memory, memory.ramOffset, memory.ramBytes);
  return { tables: new SecondStageTables(pages, format), pages };
}

test('a page is found where it was mapped, and nowhere else; unmapping gives empty tables back', () => {
  const { tables: stage, pages } = tables();
  const before = pages.freeBytes;
  stage.map(0x12_3456_7000, 0x5000, 1, true);
  expect(stage.lookup(0x12_3456_7abc)).toEqual({ hpa: 0x5000, bytes: 4096, writable: true });
  expect(stage.lookup(0x12_3456_8000)).toBeUndefined();
  expect(stage.pages).toBe(4);
  expect(stage.unmap(0x12_3456_7000, 4096)).toBe(true);
  expect(stage.lookup(0x12_3456_7000)).toBeUndefined();
  expect(stage.unmap(0, SecondStageTables.REACH)).toBe(false);
  expect(pages.freeBytes).toBe(before);
});

test('write protection splits a page of 2 MiB: only the pages of the range lose the right', () => {
  const { tables: stage } = tables();
  stage.map(0x40_0000, 0x80_0000, 2, true);
  expect(stage.lookup(0x41_2345)).toEqual({ hpa: 0x80_0000, bytes: 2 ** 21, writable: true });
  expect(stage.protect(0x40_3000, 0x2000)).toBe(true);
  const at = (gpa: number): unknown => stage.lookup(gpa);
  expect(at(0x40_2000)).toEqual({ hpa: 0x80_2000, bytes: 4096, writable: true });
  expect(at(0x40_3000)).toEqual({ hpa: 0x80_3000, bytes: 4096, writable: false });
  expect(at(0x40_4000)).toEqual({ hpa: 0x80_4000, bytes: 4096, writable: false });
  expect(at(0x40_5000)).toEqual({ hpa: 0x80_5000, bytes: 4096, writable: true });
  expect(stage.protect(0x40_3000, 0x2000)).toBe(false);
});

test('unmapping a part of a page of 2 MiB leaves the rest', () => {
  const { tables: stage } = tables();
  stage.map(0x20_0000, 0x40_0000, 2, false);
  stage.unmap(0x20_1000, 0x1000);
  expect([0x20_0000, 0x20_1000, 0x20_2000].map((gpa) => stage.lookup(gpa)?.hpa)).toEqual([0x40_0000, undefined, 0x40_2000]);
});

test('a page of 2 MiB over small ones takes their place, and their table comes back', () => {
  const { tables: stage, pages } = tables();
  stage.map(0x20_1000, 0x9000, 1, true);
  const before = pages.freeBytes;
  stage.map(0x20_0000, 0x40_0000, 2, true);
  expect(pages.freeBytes).toBe(before + 4096);
  expect(stage.lookup(0x20_1000)?.bytes).toBe(2 ** 21);
  stage.destroy();
  expect(pages.freeBytes).toBe(4 * 2 ** 20);
});

test('a large page must lie whole in its slot, and be aligned alike on both sides', () => {
  expect(largePageAt(0x25_0000, 0, 0x60_0000, 0x100_0000)).toBe(0x120_0000);
  expect(largePageAt(0x25_0000, 0x21_0000, 0x60_0000, 0x100_0000)).toBe(-1);
  expect(largePageAt(0x25_0000, 0, 0x30_0000, 0x100_0000)).toBe(-1);
  expect(largePageAt(0x25_0000, 0, 0x60_0000, 0x100_1000)).toBe(-1);
});
