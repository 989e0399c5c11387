import { beforeEach, expect, test } from 'vitest';
import { Access } from '../access.ts';
import { PageFaultError } from '../guest/page-fault.ts';
import { PagingControls, type PagingFields } from '../guest/paging-controls.ts';
import { ByteMemory } from '../physical-memory.ts';
import { Reason } from '../reason.ts';
import { NpfErrorHigh, NptStage } from './npt.ts';
import { StageFault, StageResult } from './second-stage.ts';

const { READ, WRITE, EXECUTE, TABLE } = Access;
const { P, W, U, RSVD, I } = PageFaultError;
const result = new StageResult();
let memory: ByteMemory;

beforeEach(() => {
  memory = new ByteMemory(new Uint8Array(0x6000));
  for (let table = 0x1000; table <= 0x4000; table += 0x1000) memory.write64(table, BigInt(table + 0x1000) | 7n);
});

function go(access: number, fields: Partial<PagingFields> = {}, gpa = 0x123): StageResult {
  const controls = new PagingControls({ kind: '4-level', root: 0x1000, nxe: true, ...fields });
  expect(new NptStage(controls, memory).translate(gpa, access, result, null)).toBe(result.fault === StageFault.NONE);
  return result;
}

test('the nested table walk is that of the host paging mode (APM Vol. 2 15.25.5)', () => {
  expect(go(READ)).toMatchObject({ fault: 0, pa: 0x5123, pageBytes: 4096 });
  memory.write32(0x1000, 0xc0_0087);
  expect(go(READ, { kind: '32-bit', pse: true })).toMatchObject({ fault: 0, pa: 0xc0_0123, pageBytes: 2 ** 22 });
  expect(go(READ, { kind: 'pae', pdptes: [0x3001n, 0n, 0n, 0n] })).toMatchObject({ fault: 0, pa: 0x5123 });
});

test('every guest access is a user access at the nested level (APM Vol. 2 15.25.5)', () => {
  memory.write64(0x3000, 0x4003n);
  expect(go(READ)).toMatchObject({
    fault: StageFault.NESTED_PAGE_FAULT,
    reason: Reason.SUPERVISOR_ADDRESS,
    errorCode: P | U,
    errorCodeHigh: NpfErrorHigh.FINAL,
  });
});

test('host CR0.WP does not let the guest write a read-only nested page', () => {
  memory.write64(0x4000, 0x5005n);
  expect(go(WRITE, { wp: false })).toMatchObject({ fault: StageFault.NESTED_PAGE_FAULT, errorCode: P | W | U });
  expect(go(READ).allowed).toBe(READ | EXECUTE);
});

test('accesses to guest page tables are user writes (APM Vol. 2 15.25.5), reported in bit 33 (15.25.6)', () => {
  memory.write64(0x4000, 0x5005n);
  expect(go(READ | TABLE)).toMatchObject({ errorCode: P | W | U, errorCodeHigh: NpfErrorHigh.TABLE });
  memory.write64(0x4000, 0x5007n);
  expect(go(READ | TABLE).fault).toBe(StageFault.NONE);
  expect(memory.read64(0x4000)).toBe(0x5067n); // so they set A and D
});

test('error code: not present, reserved bit, instruction fetch (APM Vol. 2 15.25.6)', () => {
  memory.write64(0x4000, 0n);
  expect(go(WRITE)).toMatchObject({ errorCode: W | U, gpa: 0x123 });
  expect(go(EXECUTE)).toMatchObject({ errorCode: U | I });
  memory.write64(0x4000, 0x5007n | (1n << 51n));
  expect(go(READ)).toMatchObject({ errorCode: P | U | RSVD });
  memory.write64(0x4000, 0x5007n | (1n << 63n));
  expect(go(EXECUTE)).toMatchObject({ errorCode: P | U | I, reason: Reason.EXECUTE_DISABLE });
  expect(go(READ).fault).toBe(StageFault.NONE);
});

test('addresses beyond what the nested mode translates are not present', () => {
  expect(go(READ, {}, 2 ** 48)).toMatchObject({ fault: StageFault.NESTED_PAGE_FAULT, reason: Reason.NPT_ADDRESS_WIDTH, errorCode: U });
  expect(go(WRITE, { kind: 'pae', pdptes: [0x3001n, 0n, 0n, 0n] }, 2 ** 32)).toMatchObject({ errorCode: W | U });
});

test('INSPECT leaves the A and D flags of nested tables', () => {
  expect(go(WRITE | Access.INSPECT).fault).toBe(StageFault.NONE);
  expect(memory.read64(0x4000)).toBe(0x5007n);
});
