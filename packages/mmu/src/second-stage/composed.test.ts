import fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import { Access } from '../access.ts';
import { PagingControls } from '../guest/paging-controls.ts';
import { walk } from '../guest/walk.ts';
import { WalkFault, WalkResult } from '../guest/walk-result.ts';
import { ByteMemory } from '../physical-memory.ts';
import { Reason } from '../reason.ts';
import { EptStage, EptViolation } from './ept.ts';
import { EptControls } from './ept-controls.ts';
import { NpfErrorHigh, NptStage } from './npt.ts';
import { identityStage, type SecondStage, StageFault, StageResult } from './second-stage.ts';

const { READ, WRITE, EXECUTE, USER } = Access;
const HOST = 0x4_0000; // where guest-physical 0 stands
const EPT = 0x1000; // PML4 here, PDPT, PD, PT in the next pages
const controls = new PagingControls({ kind: '4-level', root: 0x1000, wp: true });
const result = new WalkResult();
let memory: ByteMemory;

/** Guest tables at guest-physical 0x1000 to 0x4fff: linear page 0 is guest-physical page 5. Guest pages 0 to 15 are mapped at HOST. */
beforeEach(() => {
  memory = new ByteMemory(new Uint8Array(0x6_0000));
  for (let table = 0x1000; table <= 0x4000; table += 0x1000) memory.write64(HOST + table, BigInt(table + 0x1000) | 7n);
  for (let i = 0; i < 3; i++) memory.write64(EPT + 0x1000 * i, BigInt(EPT + 0x1000 * (i + 1)) | 7n);
  for (let page = 0; page < 16; page++) mapGuestPage(page, 7n);
});
function mapGuestPage(page: number, rights: bigint): void {
  memory.write64(EPT + 0x3000 + page * 8, BigInt(HOST + page * 0x1000) | rights);
}

const ept = (fields = {}) => new EptStage(new EptControls({ root: EPT, ...fields }), memory);
const npt = () => new NptStage(new PagingControls({ kind: '4-level', root: EPT, nxe: true }), memory);
const go = (stage: SecondStage, access: number, gva = 0x123) => {
  walk(controls, memory, gva, 0, access, stage, result);
  return result;
};

test('every guest-physical access, to table entries and the last, goes through the second stage', () => {
  const seen: [number, number][] = [];
  const inner = ept();
  const stage: SecondStage = {
    translate(gpa, access, into, recorder) {
      seen.push([gpa, access & (READ | WRITE | EXECUTE | Access.TABLE)]);
      return inner.translate(gpa, access, into, recorder);
    },
  };
  expect(go(stage, READ)).toMatchObject({ ok: true, gpa: 0x5123, pa: HOST + 0x5123 });
  const entry = (gpa: number): [number, number][] => [
    [gpa, READ | Access.TABLE],
    [gpa, READ | WRITE | Access.TABLE], // sets A
  ];
  expect(seen).toEqual([...entry(0x1000), ...entry(0x2000), ...entry(0x3000), ...entry(0x4000), [0x5123, READ]]);
});

test.each([1, 2, 3, 4])('EPT violation on a guest table (page %s): attributed to the entry, not to the translation', (page) => {
  mapGuestPage(page, 0n);
  expect(go(ept(), WRITE)).toMatchObject({
    ok: false,
    fault: WalkFault.SECOND_STAGE,
    stageOnTable: true,
    gpa: page * 0x1000,
    level: 5 - page,
  });
  expect(result.stage).toMatchObject({
    fault: StageFault.EPT_VIOLATION,
    gpa: page * 0x1000,
    qualification: EptViolation.LINEAR_VALID | 0x1,
  });
});

test('EPT violation on the final address: the access is the one that was made', () => {
  mapGuestPage(5, 5n);
  expect(go(ept(), WRITE)).toMatchObject({ ok: false, fault: WalkFault.SECOND_STAGE, stageOnTable: false, gpa: 0x5123 });
  expect(result.stage).toMatchObject({ gpa: 0x5123, qualification: 0x180 | 0x2 | 0x28 });
});

test('setting a guest A flag is a write to guest-physical memory: a read-only EPT page refuses it (29.3.3.2)', () => {
  mapGuestPage(2, 5n);
  expect(go(ept(), READ)).toMatchObject({ ok: false, stageOnTable: true, gpa: 0x2000 });
  expect(result.stage.qualification & 0x2).toBe(0x2);
  memory.write64(HOST + 0x2000, 0x3027n); // A is set: nothing to write
  expect(go(ept(), READ).ok).toBe(true);
  // With accessed and dirty flags for EPT every table access is a write.
  expect(go(ept({ accessedDirty: true }), READ)).toMatchObject({ ok: false, gpa: 0x2000 });
});

test('a guest page fault comes before the second stage sees the final address', () => {
  mapGuestPage(5, 0n);
  memory.write64(HOST + 0x4000, 0x5005n);
  expect(go(ept(), WRITE)).toMatchObject({ fault: WalkFault.PAGE_FAULT, errorCode: 0b00011, reason: Reason.READ_ONLY });
});

test('the guest page fault is the guest’s own: U/S of the access, not of the nested level', () => {
  memory.write64(HOST + 0x4000, 0n);
  expect(go(npt(), READ)).toMatchObject({ fault: WalkFault.PAGE_FAULT, errorCode: 0 });
  expect(go(npt(), READ | USER)).toMatchObject({ fault: WalkFault.PAGE_FAULT, errorCode: 0b00100 });
});

test('nested page faults: EXITINFO1 bit 33 on a table, bit 32 on the final address (APM Vol. 2 15.25.6)', () => {
  mapGuestPage(3, 0n);
  expect(go(npt(), READ)).toMatchObject({ fault: WalkFault.SECOND_STAGE, stageOnTable: true, gpa: 0x3000 });
  expect(result.stage).toMatchObject({ fault: StageFault.NESTED_PAGE_FAULT, errorCode: 0b00110, errorCodeHigh: NpfErrorHigh.TABLE });
  mapGuestPage(3, 7n);
  mapGuestPage(5, 3n); // supervisor page at the nested level
  expect(go(npt(), READ)).toMatchObject({ fault: WalkFault.SECOND_STAGE, stageOnTable: false, gpa: 0x5123 });
  expect(result.stage).toMatchObject({ errorCode: 0b00101, errorCodeHigh: NpfErrorHigh.FINAL });
});

test('rights and page size are those of both stages together', () => {
  memory.write64(HOST + 0x3000, 0x87n); // guest: 2-MByte page at guest-physical 0
  mapGuestPage(5, 5n);
  expect(go(ept(), READ, 0x5123)).toMatchObject({ ok: true, pa: HOST + 0x5123, pageBytes: 4096, allowed: READ | EXECUTE });
  expect(go(ept(), WRITE, 0x6123)).toMatchObject({ ok: true, allowed: READ | WRITE | EXECUTE });
  // D set by the guest's write; not yet in EPT for another page of it.
  expect(go(ept({ accessedDirty: true }), READ, 0x7123)).toMatchObject({ ok: true, dirty: true, allowed: READ | EXECUTE });
});

test('mode-based execute: U/S of the linear address counts, not the mode of the access', () => {
  const stage = ept({ modeBasedExecute: true });
  expect(go(stage, EXECUTE)).toMatchObject({ ok: false, gpa: 0x5123 }); // the guest's tables say user, EPT bit 10 is 0
  memory.write64(HOST + 0x4000, 0x5003n);
  expect(go(stage, EXECUTE).ok).toBe(true);
});

test('without guest paging the second stage translates the linear address', () => {
  walk(new PagingControls({ kind: 'none' }), memory, 0x5123, 0, WRITE, ept(), result);
  expect(result).toMatchObject({ ok: true, gpa: 0x5123, pa: HOST + 0x5123 });
});

test('identity changes nothing', () => {
  const flat = new PagingControls({ kind: '4-level', root: EPT });
  const plain = new WalkResult();
  walk(flat, memory, 0x5123, 0, WRITE, null, plain);
  walk(flat, memory, 0x5123, 0, WRITE, identityStage, result);
  const { stage: _, ...expected } = plain;
  expect(result).toMatchObject(expected);
});

test('an EPT violation says what the guest’s tables make of the linear address (bits 11:9, advanced information)', () => {
  mapGuestPage(5, 0n);
  const nx = new PagingControls({ kind: '4-level', root: 0x1000, nxe: true });
  const bits = (pte: bigint) => {
    memory.write64(HOST + 0x4000, pte);
    walk(nx, memory, 0x123, 0, READ, ept({ advancedExitInformation: true }), result);
    return result.stage.qualification & 0xe00;
  };
  expect(bits(0x5001n)).toBe(0);
  expect(bits(0x5003n)).toBe(EptViolation.LINEAR_WRITABLE);
  expect(bits(0x5005n)).toBe(EptViolation.LINEAR_USER);
  expect(bits(0x5001n | (1n << 63n))).toBe(EptViolation.LINEAR_XD);
});

describe('a stage over a stage', () => {
  // Layer 1's own tables at its guest-physical 0x8000, in the memory that `ept()` maps at HOST; they map page 5 to page 6.
  const UPPER = 0x8000;
  beforeEach(() => {
    for (let i = 0; i < 3; i++) memory.write64(HOST + UPPER + 0x1000 * i, BigInt(UPPER + 0x1000 * (i + 1)) | 7n);
    memory.write64(HOST + UPPER + 0x3000 + 5 * 8, 0x6007n);
  });
  const upper = {
    EPT: () => new EptStage(new EptControls({ root: UPPER }), memory, { below: ept() }),
    NPT: () => new NptStage(new PagingControls({ kind: '4-level', root: UPPER }), memory, ept()),
  };

  test.each(['EPT', 'NPT'] as const)('%s: its tables and what it finds go through the stage below', (kind) => {
    const into = new StageResult();
    expect(upper[kind]().translate(0x5123, READ, into, null)).toBe(true);
    expect(into.pa).toBe(HOST + 0x6123);
  });

  test.each(['EPT', 'NPT'] as const)('%s: rights and page size are those of both', (kind) => {
    const into = new StageResult();
    memory.write64(HOST + UPPER + 0x2000, 0x87n); // 2-MByte page at 0
    if (kind === 'NPT') memory.write64(HOST + UPPER + 0x2000, 0xe7n); // A and D set
    mapGuestPage(6, 5n);
    expect(upper[kind]().translate(0x6123, READ, into, null)).toBe(true);
    expect(into).toMatchObject({ pa: HOST + 0x6123, pageBytes: 4096, allowed: READ | EXECUTE });
  });

  test('accesses to the upper tables are table accesses below, and setting their flags is a write', () => {
    const accesses: number[] = [];
    const lower = ept();
    const below: SecondStage = {
      translate(gpa, access, into, recorder) {
        if (gpa >= UPPER) accesses.push(access);
        return lower.translate(gpa, access, into, recorder);
      },
    };
    const stage = new EptStage(new EptControls({ root: UPPER, accessedDirty: true }), memory, { below });
    expect(stage.translate(0x5123, READ, new StageResult(), null)).toBe(true);
    const entry = [READ | Access.TABLE, READ | WRITE | Access.TABLE];
    expect(accesses).toEqual([...entry, ...entry, ...entry, ...entry]);
    mapGuestPage(UPPER / 0x1000, 5n); // its flags are set: nothing to write
    expect(stage.translate(0x5123, READ, new StageResult(), null)).toBe(true);
    memory.write64(HOST + UPPER, BigInt(UPPER + 0x1000) | 7n);
    const into = new StageResult();
    expect(stage.translate(0x5123, READ, into, null)).toBe(false);
    expect(into.below).toMatchObject({ fault: StageFault.EPT_VIOLATION, gpa: UPPER });
  });

  test.each(['EPT', 'NPT'] as const)('%s: a fault below is told apart', (kind) => {
    const into = new StageResult();
    mapGuestPage(UPPER / 0x1000 + 1, 0n);
    expect(upper[kind]().translate(0x5123, READ, into, null)).toBe(false);
    expect(into).toMatchObject({ fault: StageFault.BELOW, gpa: 0x5123 });
    expect(into.below).toMatchObject({ fault: StageFault.EPT_VIOLATION, gpa: UPPER + 0x1000 });
    mapGuestPage(UPPER / 0x1000 + 1, 7n);
    mapGuestPage(6, 0n);
    expect(upper[kind]().translate(0x5123, READ, into, null)).toBe(false);
    expect(into.below).toMatchObject({ fault: StageFault.EPT_VIOLATION, gpa: 0x6123 });
    mapGuestPage(6, 7n);
    memory.write64(HOST + UPPER + 0x3000 + 5 * 8, 0n);
    expect(upper[kind]().translate(0x5123, READ, into, null)).toBe(false);
    expect(into.fault).toBe(kind === 'EPT' ? StageFault.EPT_VIOLATION : StageFault.NESTED_PAGE_FAULT);
  });
});

test('a composed walk finds what the two mappings, applied one after the other, say', () => {
  const pages = fc.shuffledSubarray([6, 7, 8, 9, 10, 11, 12, 13, 14, 15], { minLength: 10 });
  fc.assert(
    fc.property(pages, pages, fc.nat(9), fc.nat(4095), fc.boolean(), (guest, host, at, offset, intel) => {
      for (let i = 0; i < 3; i++) memory.write64(EPT + 0x1000 * i, BigInt(EPT + 0x1000 * (i + 1)) | 7n);
      for (let page = 0; page < 6; page++) mapGuestPage(page, 7n);
      for (const [i, target] of guest.entries()) memory.write64(HOST + 0x4000 + i * 8, BigInt(target * 0x1000) | 7n);
      for (const [i, target] of host.entries()) memory.write64(EPT + 0x3000 + (i + 6) * 8, BigInt(HOST + target * 0x1000) | 7n);
      const gpaPage = guest[at]!;
      const expected = { ok: true, gpa: gpaPage * 0x1000 + offset, pa: HOST + host[gpaPage - 6]! * 0x1000 + offset };
      expect(go(intel ? ept() : npt(), READ, at * 4096 + offset)).toMatchObject(expected);
    }),
    { numRuns: 300 },
  );
});
