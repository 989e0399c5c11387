import { Access, ByteMemory, NptStage, PageFaultError, PagingControls, StageFault, StageResult } from '@minusone/mmu';
import { expect, test } from 'vitest';
import { nptFormat } from './npt-format.ts';

const ROOT = 0x1000;
const memory = new ByteMemory(new Uint8Array(0x8000));
const put = (at: number, entry: { low: number; high: number }): void => {
  memory.write32(at, entry.low);
  memory.write32(at + 4, entry.high);
};
put(ROOT, nptFormat.table(0x2000));
put(0x2000, nptFormat.table(0x3000));
put(0x3000, nptFormat.table(0x4000));
put(0x3008, nptFormat.leaf(0x4020_0000, 2, true, true));
put(0x4000, nptFormat.leaf(0x5000, 1, true, true));
put(0x4008, nptFormat.leaf(0x6000, 1, false, true));
put(0x4010, nptFormat.leaf(0x7000, 1, true, false));
put(0x4018, nptFormat.absent);
/** The host's paging mode: 4-level with EFER.NXE. */
const stage = new NptStage(new PagingControls({ kind: '4-level', root: ROOT, nxe: true, maxPhyAddr: 40 }), memory);
const result = new StageResult();
const allows = (gpa: number, access: number): boolean => stage.translate(gpa, access, result, null);

test('every entry is a user entry, so that the walk, which is a user access, passes (APM Vol. 2 15.25.5)', () => {
  expect(allows(0x123, Access.READ)).toBe(true);
  expect(result.pa).toBe(0x5123);
});

test('D is set beforehand: the first walk already lets writes be cached (APM Vol. 2 5.4.2)', () => {
  expect(allows(0x0, Access.READ)).toBe(true);
  expect(result.allowed & Access.WRITE).not.toBe(0);
});

test('a page without R/W refuses writes with P and W (APM Vol. 2 15.25.6)', () => {
  expect(allows(0x1000, Access.READ)).toBe(true);
  expect(allows(0x1000, Access.WRITE)).toBe(false);
  expect(result.fault).toBe(StageFault.NESTED_PAGE_FAULT);
  expect(result.errorCode & (PageFaultError.P | PageFaultError.W)).toBe(PageFaultError.P | PageFaultError.W);
});

test('a page with NX refuses fetches', () => {
  expect(allows(0x2000, Access.WRITE)).toBe(true);
  expect(allows(0x2000, Access.EXECUTE)).toBe(false);
  expect(result.errorCode & PageFaultError.I).toBe(PageFaultError.I);
});

test('the absent entry is a fault without P', () => {
  expect(allows(0x3000, Access.READ)).toBe(false);
  expect(result.errorCode & PageFaultError.P).toBe(0);
});

test('a leaf of 2 MiB maps 2 MiB (APM Vol. 2 5.3.4)', () => {
  expect(allows(0x20_1234, Access.WRITE)).toBe(true);
  expect(result.pa).toBe(0x4020_1234);
  expect(result.pageBytes).toBe(0x20_0000);
});

test('what was written is read back: present, leaf, writable, address above 4 GiB', () => {
  const leaf = nptFormat.leaf(0x12_3456_7000, 1, false, false);
  expect(nptFormat.isPresent(leaf.low, leaf.high)).toBe(true);
  expect(nptFormat.isWritable(leaf.low, leaf.high)).toBe(false);
  expect(nptFormat.address(leaf.low, leaf.high)).toBe(0x12_3456_7000);
  const table = nptFormat.table(0x9000);
  expect(nptFormat.isLeaf(table.low, table.high, 2)).toBe(false);
  expect(nptFormat.isLeaf(leaf.low, leaf.high, 1)).toBe(true);
  expect(nptFormat.isPresent(nptFormat.absent.low, nptFormat.absent.high)).toBe(false);
});
