import { Access, ByteMemory, EptControls, EptStage, StageFault, StageResult } from '@minusone/mmu';
import { expect, test } from 'vitest';
import { eptFormat, eptPointer } from './ept-format.ts';

const ROOT = 0x1000;
const memory = new ByteMemory(new Uint8Array(0x8000));
const put = (at: number, entry: { low: number; high: number }): void => {
  memory.write32(at, entry.low);
  memory.write32(at + 4, entry.high);
};
put(ROOT, eptFormat.table(0x2000));
put(0x2000, eptFormat.table(0x3000));
put(0x3000, eptFormat.table(0x4000));
put(0x3008, eptFormat.leaf(0x4020_0000, 2, true, true));
put(0x4000, eptFormat.leaf(0x5000, 1, true, true));
put(0x4008, eptFormat.leaf(0x6000, 1, false, true));
put(0x4010, eptFormat.leaf(0x7000, 1, true, false));
put(0x4018, eptFormat.absent);
const controls = new EptControls({
  root: ROOT,
  levels: 4,
  accessedDirty: false,
  executeOnly: true,
  mbPages: true,
  gbPages: true,
  maxPhyAddr: 40,
});
const stage = new EptStage(controls, memory);
const result = new StageResult();
const allows = (gpa: number, access: number): boolean => stage.translate(gpa, access, result, null);

test('a page that may be read, written and executed (SDM Vol. 3C, 29.3.2)', () => {
  for (const access of [Access.READ, Access.WRITE, Access.EXECUTE]) expect(allows(0x123, access)).toBe(true);
  expect(result.pa).toBe(0x5123);
});

test('a page without bit 1 refuses writes, one without bit 2 fetches: EPT violations', () => {
  expect(allows(0x1000, Access.READ)).toBe(true);
  expect(allows(0x1000, Access.WRITE)).toBe(false);
  expect(result.fault).toBe(StageFault.EPT_VIOLATION);
  expect(allows(0x2000, Access.WRITE)).toBe(true);
  expect(allows(0x2000, Access.EXECUTE)).toBe(false);
});

test('the absent entry is an EPT violation, no misconfiguration', () => {
  expect(allows(0x3000, Access.READ)).toBe(false);
  expect(result.fault).toBe(StageFault.EPT_VIOLATION);
});

test('a leaf of 2 MiB maps 2 MiB', () => {
  expect(allows(0x20_1234, Access.WRITE)).toBe(true);
  expect(result.pa).toBe(0x4020_1234);
  expect(result.pageBytes).toBe(0x20_0000);
});

test('what was written is read back: present, leaf, writable, address above 4 GiB', () => {
  const leaf = eptFormat.leaf(0x12_3456_7000, 1, false, false);
  expect(eptFormat.isPresent(leaf.low, leaf.high)).toBe(true);
  expect(eptFormat.isWritable(leaf.low, leaf.high)).toBe(false);
  expect(eptFormat.address(leaf.low, leaf.high)).toBe(0x12_3456_7000);
  const table = eptFormat.table(0x9000);
  expect(eptFormat.isLeaf(table.low, table.high, 2)).toBe(false);
  expect(eptFormat.isLeaf(leaf.low, leaf.high, 1)).toBe(true);
  expect(eptFormat.isPresent(eptFormat.absent.low, eptFormat.absent.high)).toBe(false);
});

test('EPTP: write-back, four levels, no accessed and dirty flags (25.6.11)', () => {
  expect(eptPointer(0x12_3456_7000)).toBe(0x12_3456_701en);
});
