import { beforeEach, expect, test } from 'vitest';
import { Access } from '../access.ts';
import { PagingControls } from '../guest/paging-controls.ts';
import { ByteMemory } from '../physical-memory.ts';
import { Reason } from '../reason.ts';
import { EptStage } from '../second-stage/ept.ts';
import { EptControls } from '../second-stage/ept-controls.ts';
import { NptStage } from '../second-stage/npt.ts';
import { formatTranslation } from './format.ts';
import { translate } from './translation.ts';

const { READ, WRITE, USER } = Access;
const controls = new PagingControls({ kind: '4-level', root: 0x1000, nxe: true });
let bytes: Uint8Array;
let memory: ByteMemory;

beforeEach(() => {
  bytes = new Uint8Array(0x1_0000);
  memory = new ByteMemory(bytes);
  memory.write64(0x1000, 0x2027n);
  memory.write64(0x2000, 0x3027n);
  memory.write64(0x3010, 0x4027n);
  memory.write64(0x4008, 0x8000_0000_0000_5003n);
});

test('translate() names each entry, its address, value and flags, and changes nothing', () => {
  const before = bytes.slice();
  const { steps, ...found } = translate(controls, memory, 0x40_1234n, WRITE);
  expect(steps.map(({ structure, level, address, entry }) => [structure, level, address, entry])).toEqual([
    ['PML4E', 4, 0x1000, 0x2027n],
    ['PDPTE', 3, 0x2000, 0x3027n],
    ['PDE', 2, 0x3010, 0x4027n],
    ['PTE', 1, 0x4008, 0x8000_0000_0000_5003n],
  ]);
  expect(steps[0]).toMatchObject({ flags: ['P', 'R/W', 'U/S', 'A'], sets: [] });
  expect(steps[3]).toMatchObject({ flags: ['P', 'R/W', 'XD'], sets: ['A', 'D'] });
  expect(found).toMatchObject({ ok: true, gpa: 0x5234, pa: 0x5234, pageBytes: 4096, fault: undefined });
  expect(bytes).toEqual(before);
});

test('a fault says its reason in words, with the section', () => {
  const { fault } = translate(controls, memory, 0x40_1234n, READ | USER);
  expect(fault).toMatchObject({ kind: 'page fault', code: 5n, reason: Reason.SUPERVISOR_ADDRESS });
  expect(fault?.says).toContain('U/S is 0');
  expect(fault?.section).toContain('4.6.1');
});

test('PDPTE registers have no address; a negative gva is the upper half', () => {
  const pae = new PagingControls({ kind: 'pae', root: 0x1000, pdptes: [0n, 0n, 0n, 0x3001n] });
  memory.write64(0x3ff8, 0x20_0083n);
  const { steps, ok, pa, pageBytes } = translate(pae, memory, -16n, READ);
  expect(steps.map(({ structure, address, flags }) => [structure, address, flags])).toEqual([
    ['PDPTE', undefined, ['P']],
    ['PDE', 0x3ff8, ['P', 'R/W', 'PS']],
  ]);
  expect({ ok, pa, pageBytes }).toEqual({ ok: true, pa: 0x3f_fff0, pageBytes: 2 ** 21 });
});

function mapEpt(flags: bigint): void {
  memory.write64(0x8000, 0x9007n);
  memory.write64(0x9000, 0xa007n);
  memory.write64(0xa000, 0x80n | flags);
}

test('the second stage’s steps are inside the step that needed them', () => {
  mapEpt(0x37n);
  const stage = new EptStage(new EptControls({ root: 0x8000 }), memory);
  const { steps, stages, ok } = translate(controls, memory, 0x40_1234n, READ, stage);
  expect(ok).toBe(true);
  expect(steps[0]?.stages).toMatchObject([{ gpa: 0x1000, pa: 0x1000, ok: true }]);
  expect(steps[0]?.stages[0]?.steps.map((step) => step.structure)).toEqual(['EPT PML4E', 'EPT PDPTE', 'EPT PDE']);
  expect(steps[0]?.stages[0]?.steps[2]?.flags).toEqual(['R', 'W', 'X', 'PS', 'WB']);
  expect(steps[3]?.stages).toMatchObject([{ gpa: 0x4008 }, { gpa: 0x4008, access: READ | WRITE | Access.TABLE | Access.INSPECT }]); // read, and A set
  expect(stages).toMatchObject([{ gpa: 0x5234, ok: true }]);
});

test('a second-stage fault is attributed', () => {
  mapEpt(0x30n);
  const stage = new EptStage(new EptControls({ root: 0x8000 }), memory);
  const { fault, stages, steps } = translate(controls, memory, 0x40_1234n, READ, stage);
  expect(fault).toMatchObject({ kind: 'EPT violation', gpa: 0x1000, onTable: true, code: 0x81n });
  expect(steps).toEqual([]);
  expect(stages[0]?.steps).toHaveLength(3);
  const nested = new NptStage(new PagingControls({ kind: '4-level', root: 0x8000 }), memory);
  expect(translate(controls, memory, 0x40_1234n, READ, nested).fault).toMatchObject({ kind: 'nested page fault', code: 0x2_0000_0006n });
});

test('formatTranslation() writes one line an entry', () => {
  expect(formatTranslation(translate(controls, memory, 0x40_1234n, WRITE))).toEqual([
    'linear 0x401234, supervisor-mode write, 4-level paging',
    '  PML4E at 0x1000: 0x0000000000002027  P R/W U/S A',
    '  PDPTE at 0x2000: 0x0000000000003027  P R/W U/S A',
    '  PDE at 0x3010: 0x0000000000004027  P R/W U/S A',
    '  PTE at 0x4008: 0x8000000000005003  P R/W XD; sets A, D',
    '  = physical 0x5234, in a page of 4 KBytes; a TLB may cache read',
  ]);
  expect(formatTranslation(translate(controls, memory, 0x80_0000n, READ | USER)).at(-1)).toBe(
    '  = page fault, error code 0x4 (U/S): the P flag of the entry is 0 (SDM Vol. 3A 4.7 "Page-Fault Exceptions")',
  );
});
