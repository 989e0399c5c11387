import { MachineMemory } from '@minusone/memory';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { HostMemoryExhaustedError } from '../errors.ts';
import { PageAllocator } from './page-allocator.ts';

const PAGES = 16;

function allocator(): PageAllocator {
  const memory = new MachineMemory({ ramBytes: PAGES * 4096, reservedBytes: 0 });
  return new PageAllocator(memory, memory.ramOffset, memory.ramBytes);
}

test('pages handed out are zeroed, aligned, and never two at once; all come back', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.boolean(), fc.integer({ min: 1, max: 3 })), { maxLength: 60 }), (steps) => {
      const pages = allocator();
      const owned: number[] = [];
      const taken = new Set<number>();
      for (const [allocates, count] of steps) {
        if (allocates && pages.freeBytes >= PAGES * 4096 * 0.75) {
          const at = pages.allocate(count);
          for (let n = 0; n < count; n++) {
            const page = at + n * 4096;
            expect(taken.has(page)).toBe(false);
            expect(pages.memory.u8.subarray(page, page + 4096).every((byte) => byte === 0)).toBe(true);
            pages.memory.u8.fill(0xaa, page, page + 4096);
            taken.add(page);
            owned.push(page);
          }
        } else if (owned.length > 0) {
          const [page] = owned.splice((count * 7) % owned.length, 1) as [number];
          pages.free(page);
          taken.delete(page);
        }
      }
      for (const page of owned) pages.free(page);
      expect(pages.freeBytes).toBe(PAGES * 4096);
      expect(pages.allocate(PAGES)).toBe(pages.memory.ramOffset);
    }),
    { numRuns: 50 },
  );
});

test('a host without room says how much is free; a page given back twice is refused', () => {
  const pages = allocator();
  const page = pages.allocate(PAGES - 1);
  expect(() => pages.allocate(2)).toThrow(HostMemoryExhaustedError);
  pages.free(page);
  expect(() => pages.free(page)).toThrow(/free already/);
  expect(() => pages.free(0)).toThrow(/Give back what/);
});
