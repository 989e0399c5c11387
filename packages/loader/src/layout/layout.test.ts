import { MinusOneError } from '@minusone/core';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DoesNotFitError, OverlapError } from '../errors.ts';
import { readUint } from '../structure.ts';
import { E820Type, memoryMap, topOfRam } from './memory-map.ts';
import { identityPageTables } from './page-tables.ts';
import { PlainRam } from './plain-ram.ts';
import { RamPlan } from './ram-plan.ts';

const MIB = 2 ** 20;
const GIB = 2 ** 30;

describe('memoryMap', () => {
  const ram = (bytes: number) => memoryMap(bytes).filter((entry) => entry.type === E820Type.RAM);

  test('RAM below 1 MiB ends at the EBDA, and goes on at 1 MiB', () => {
    expect(ram(64 * MIB)).toEqual([
      { gpa: 0, bytes: 0x9fc00, type: 1 },
      { gpa: MIB, bytes: 63 * MIB, type: 1 },
    ]);
  });

  test('RAM over 3 GiB goes on at 4 GiB: the hole for PCI lies between', () => {
    expect(ram(3.5 * GIB).slice(1)).toEqual([
      { gpa: MIB, bytes: 3 * GIB - MIB, type: 1 },
      { gpa: 4 * GIB, bytes: 0.5 * GIB, type: 1 },
    ]);
    expect(topOfRam(memoryMap(3.5 * GIB))).toBe(4.5 * GIB);
    expect(topOfRam(memoryMap(3 * GIB))).toBe(3 * GIB);
  });

  test('ranges ascend without overlap, for any size; no size that is not a positive multiple of 4096 is taken', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 2 ** 21 }), (pages) => {
        const map = memoryMap(pages * 4096);
        for (let i = 1; i < map.length; i++) expect(map[i]?.gpa).toBeGreaterThanOrEqual((map[i - 1]?.gpa ?? 0) + (map[i - 1]?.bytes ?? 0));
      }),
    );
    for (const bytes of [0, -4096, Number.NaN, 4097, 1.5]) expect(() => memoryMap(bytes)).toThrow(MinusOneError);
  });
});

describe('RamPlan', () => {
  const plan = () => {
    const ram = new PlainRam(16 * MIB);
    return new RamPlan(ram, ram.map);
  };

  test('what is placed never overlaps, lies in RAM, is aligned and within its limits', () => {
    const request = fc.record({
      bytes: fc.integer({ min: 1, max: 3 * MIB }),
      alignment: fc.constantFrom(1, 16, 4096, 2 * MIB),
      up: fc.boolean(),
      highest: fc.constantFrom(0x8_ffff, 8 * MIB - 1, 2 ** 40),
    });
    fc.assert(
      fc.property(fc.array(request, { maxLength: 12 }), (requests) => {
        const subject = plan();
        for (const { bytes, alignment, up, highest } of requests) {
          const gpa = up ? subject.takeLowest('a', bytes, { alignment, highest }) : subject.takeHighest('a', bytes, { alignment, highest });
          if (gpa === undefined) continue;
          expect(gpa % alignment).toBe(0);
          expect(gpa).toBeGreaterThanOrEqual(0x1000);
          expect(gpa + bytes - 1).toBeLessThanOrEqual(highest);
          expect(gpa + bytes <= 0x9fc00 || (gpa >= MIB && gpa + bytes <= 16 * MIB)).toBe(true);
        }
        const sorted = [...subject.placed].sort((a, b) => a.gpa - b.gpa);
        sorted.forEach((range, i) => {
          if (i > 0) expect(range.gpa).toBeGreaterThanOrEqual((sorted[i - 1]?.gpa ?? 0) + (sorted[i - 1]?.bytes ?? 0));
        });
      }),
    );
  });

  test('takeHighest leaves no gap above, takeLowest none below', () => {
    const subject = plan();
    expect(subject.takeHighest('a', 0x1000)).toBe(16 * MIB - 0x1000);
    expect(subject.takeHighest('b', 0x1000)).toBe(16 * MIB - 0x2000);
    expect(subject.takeLowest('c', 0x10)).toBe(0x1000);
    expect(subject.takeLowest('d', 0x10)).toBe(0x1010);
  });

  test('a claim outside RAM, or over another one, is refused by name', () => {
    const subject = plan();
    expect(() => subject.claim('x', 0x9f000, 0x1000)).toThrow(DoesNotFitError);
    expect(() => subject.claim('x', 16 * MIB - 1, 2)).toThrow(DoesNotFitError);
    subject.claim('x', MIB, 0x1000);
    expect(() => subject.claim('y', MIB + 0xfff, 1)).toThrow(OverlapError);
    subject.claim('z', MIB + 0x1000, 1);
  });
});

test('identity page tables map every linear address to itself with 2 MiB pages (SDM Vol. 3A, "4-Level Paging")', () => {
  const base = 0x3000;
  const tables = identityPageTables(base, 4.5 * GIB);
  expect(tables.length).toBe((2 + 5) * 4096);
  const entry = (table: number, index: number) => readUint(tables, table - base + index * 8, 8);
  const frame = (value: number) => Math.floor(value / 4096) * 4096;
  for (const linear of [0, 0x1f_ffff, 0x20_0000, 0xfee0_0000, 4 * GIB - 1, 4 * GIB, 5 * GIB - 1]) {
    const pml4e = entry(base, Math.floor(linear / 2 ** 39));
    const pdpte = entry(frame(pml4e), Math.floor(linear / 2 ** 30) % 512);
    const pde = entry(frame(pdpte), Math.floor(linear / 2 ** 21) % 512);
    expect([pml4e & 7, pdpte & 7, pde & 0xff]).toEqual([3, 3, 0x83]);
    expect(frame(pde) + (linear % 2 ** 21)).toBe(linear);
  }
  expect(entry(base + 4096, 5)).toBe(0);
});

test('a guest with little RAM has the first 4 GiB mapped all the same: its local APIC is at 0xFEE00000', () => {
  const tables = identityPageTables(0x3000, 16 * MIB);
  expect(tables.length).toBe((2 + 4) * 4096);
  expect(readUint(tables, 5 * 4096 + ((0xfee0_0000 >>> 21) % 512) * 8, 8)).toBe(0xfee0_0083);
});
