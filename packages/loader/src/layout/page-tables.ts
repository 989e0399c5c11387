import { writeUint } from '../structure.ts';
import type { RamPlan } from './ram-plan.ts';

const GIB = 2 ** 30;
const TABLE_BYTES = 4096;
const ENTRIES = 512;
const PRESENT_WRITABLE = 0x3;
const PAGE_SIZE = 0x80;
const LARGE_PAGE_BYTES = 2 ** 21;

/**
 * Builds 4-level page tables (SDM Vol. 3A, "4-Level Paging and 5-Level Paging") that map linear to equal physical addresses with
 * 2 MiB pages, writable and supervisor, in one run: PML4, PDPT, then a page directory for each GiB.
 *
 * @param base guest-physical address of the PML4, a multiple of 4096
 * @param mappedBytes rounded up to whole GiB, 4 GiB at least, 512 GiB at most
 * @returns the tables, to be written at `base`; CR3 = `base`
 */
export function identityPageTables(base: number, mappedBytes: number): Uint8Array {
  const directories = directoriesFor(mappedBytes);
  const tables = new Uint8Array((2 + directories) * TABLE_BYTES);
  const set = (table: number, index: number, entry: number): void => writeUint(tables, table * TABLE_BYTES + index * 8, 8, entry);
  set(0, 0, base + TABLE_BYTES + PRESENT_WRITABLE);
  for (let directory = 0; directory < directories; directory++) {
    set(1, directory, base + (2 + directory) * TABLE_BYTES + PRESENT_WRITABLE);
    for (let index = 0; index < ENTRIES; index++) {
      set(2 + directory, index, directory * GIB + index * LARGE_PAGE_BYTES + PAGE_SIZE + PRESENT_WRITABLE);
    }
  }
  return tables;
}

function directoriesFor(mappedBytes: number): number {
  return Math.min(ENTRIES, Math.max(4, Math.ceil(mappedBytes / GIB)));
}

/** Puts identity page tables for `mappedBytes` into conventional memory and returns CR3. */
export function putIdentityPageTables(plan: RamPlan, mappedBytes: number): number {
  const bytes = (2 + directoriesFor(mappedBytes)) * TABLE_BYTES;
  const base = plan.takeLow('page tables', bytes, TABLE_BYTES);
  plan.write(base, identityPageTables(base, mappedBytes));
  return base;
}
