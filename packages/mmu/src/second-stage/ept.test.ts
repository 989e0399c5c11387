import { beforeEach, describe, expect, test } from 'vitest';
import { Access } from '../access.ts';
import { ByteMemory } from '../physical-memory.ts';
import { Reason } from '../reason.ts';
import { type EptOptions, EptStage, EptViolation } from './ept.ts';
import { EptControls, type EptFields } from './ept-controls.ts';
import { StageFault, StageResult } from './second-stage.ts';

const { READ, WRITE, EXECUTE, TABLE, NO_LINEAR, LINEAR_USER, LINEAR_WRITABLE, LINEAR_XD, INSPECT } = Access;
const FINAL = EptViolation.LINEAR_VALID | EptViolation.TRANSLATION;
const A = 0x100n;
const D = 0x200n;

// PML5E 3, PML4E 0x123, PDPTE 0x145, PDE 0x067, PTE 0x189, offset 0xabc
const gpa48 = 0x123 * 2 ** 39 + 0x145 * 2 ** 30 + 0x67 * 2 ** 21 + 0x189 * 2 ** 12 + 0xabc;
const at = { 5: 0x1000 + 3 * 8, 4: 0x2000 + 0x123 * 8, 3: 0x3000 + 0x145 * 8, 2: 0x4000 + 0x67 * 8, 1: 0x5000 + 0x189 * 8 } as const;
const LEVELS = [5, 4, 3, 2, 1] as const;
const result = new StageResult();
let memory: ByteMemory;

beforeEach(() => {
  memory = new ByteMemory(new Uint8Array(0x6000));
  for (const level of LEVELS) memory.write64(at[level], BigInt((7 - level) * 0x1000) | 7n);
  memory.write64(at[1], 0xf_dead_b037n); // WB
});

function go(access: number, fields: Partial<EptFields> = {}, gpa: number = gpa48, options: EptOptions = {}): StageResult {
  const root = fields.levels === 5 ? 0x1000 : 0x2000;
  const ok = new EptStage(new EptControls({ root, maxPhyAddr: 40, ...fields }), memory, options).translate(gpa, access, result, null);
  expect(ok).toBe(result.fault === StageFault.NONE);
  return result;
}
const set = (level: 1 | 2 | 3 | 4 | 5, value: bigint) => memory.write64(at[level], value);

describe('EPT translation mechanism (SDM Vol. 3C 29.3.2)', () => {
  test('4-KByte page through four and five levels', () => {
    expect(go(READ)).toMatchObject({ fault: 0, pa: 0xf_dead_babc, pageBytes: 4096, allowed: 7, memoryType: 6, ignorePat: false });
    expect(go(READ, { levels: 5 }, gpa48 + 3 * 2 ** 48)).toMatchObject({ fault: 0, pa: 0xf_dead_babc });
  });

  test('2-MByte and 1-GByte pages', () => {
    set(2, 0xf_dea0_00f7n);
    expect(go(READ)).toMatchObject({ fault: 0, pa: 0xf_dea0_0000 + (gpa48 % 2 ** 21), pageBytes: 2 ** 21, ignorePat: true });
    set(3, 0xf_c000_0087n);
    expect(go(READ)).toMatchObject({ fault: 0, pa: 0xf_c000_0000 + (gpa48 % 2 ** 30), pageBytes: 2 ** 30, memoryType: 0 });
  });

  test('rights are those of every entry together', () => {
    for (const level of [4, 3, 2, 1] as const) {
      const before = memory.read64(at[level]);
      set(level, before & ~2n);
      expect(go(READ).allowed).toBe(READ | EXECUTE);
      set(level, before & ~4n);
      expect(go(READ).allowed).toBe(READ | WRITE);
      set(level, before & ~3n);
      expect(go(EXECUTE).allowed).toBe(EXECUTE);
      set(level, before);
    }
  });

  test('mode-based execute control: bit 2 for supervisor-mode linear addresses, bit 10 for user-mode ones', () => {
    const mbe = { modeBasedExecute: true };
    expect(go(EXECUTE, mbe).fault).toBe(StageFault.NONE);
    expect(go(EXECUTE | LINEAR_USER, mbe)).toMatchObject({ fault: StageFault.EPT_VIOLATION, reason: Reason.EPT_NOT_EXECUTABLE });
    for (const level of [4, 3, 2, 1] as const) set(level, (memory.read64(at[level]) & ~4n) | 0x400n);
    expect(go(EXECUTE | LINEAR_USER, mbe).fault).toBe(StageFault.NONE);
    expect(go(EXECUTE, mbe)).toMatchObject({ qualification: FINAL | 0x4 | 0x18 | EptViolation.USER_EXECUTABLE });
    expect(go(EXECUTE | LINEAR_USER)).toMatchObject({ qualification: FINAL | 0x4 | 0x18 }); // bit 10 means nothing without the control
  });
});

describe('EPT violations (SDM Vol. 3C 29.3.3.2, and the table of their exit qualification)', () => {
  test.each([
    ['read', READ, 6n, 0x1, Reason.EPT_NOT_READABLE],
    ['write', WRITE, 5n, 0x2, Reason.EPT_NOT_WRITABLE],
    ['fetch', EXECUTE, 3n, 0x4, Reason.EPT_NOT_EXECUTABLE],
  ] as const)('%s: bits 2:0 say the access, 5:3 what the entries allow', (_, access, rights, bit, reason) => {
    const left = rights === 6n ? 4n : rights; // write-only would be a misconfiguration
    set(3, (memory.read64(at[3]) & ~7n) | left);
    expect(go(access)).toMatchObject({
      fault: StageFault.EPT_VIOLATION,
      reason,
      gpa: gpa48,
      qualification: FINAL | bit | (Number(left) << 3),
    });
  });

  test('an entry that is not present: bits 5:3 are 0, whatever those above allow', () => {
    for (const level of LEVELS.slice(1)) {
      const before = memory.read64(at[level]);
      set(level, before & ~7n); // the other bits are ignored
      expect(go(READ | WRITE)).toMatchObject({
        fault: StageFault.EPT_VIOLATION,
        reason: Reason.EPT_NOT_PRESENT,
        qualification: FINAL | 0x3,
      });
      set(level, before);
    }
  });

  test('bits 8:7: a table access, and one without a linear address (MOV to CR3 that loads PDPTEs)', () => {
    set(1, 0n);
    expect(go(READ | TABLE).qualification).toBe(0x1 | EptViolation.LINEAR_VALID);
    expect(go(READ | TABLE | NO_LINEAR).qualification).toBe(0x1);
  });

  test('with accessed and dirty flags, a table access is a write: bits 0 and 1 both', () => {
    for (const level of LEVELS) set(level, memory.read64(at[level]) & ~2n);
    expect(go(READ | TABLE).fault).toBe(StageFault.NONE);
    expect(go(READ | TABLE, { accessedDirty: true }).qualification).toBe(0x3 | 0x28 | EptViolation.LINEAR_VALID);
  });

  test('bits 11:9 with advanced information, for the final access only', () => {
    set(1, 0n);
    const linear = LINEAR_USER | LINEAR_WRITABLE | LINEAR_XD;
    expect(go(READ | linear).qualification).toBe(0x181);
    expect(go(READ | linear, { advancedExitInformation: true }).qualification).toBe(0xf81);
    expect(go(READ | LINEAR_WRITABLE, { advancedExitInformation: true }).qualification).toBe(0x581);
    expect(go(READ | TABLE, { advancedExitInformation: true }).qualification).toBe(0x81);
  });

  test('a guest-physical address above bit 47 with four levels', () => {
    expect(go(READ, {}, 2 ** 48)).toMatchObject({ fault: StageFault.EPT_VIOLATION, reason: Reason.EPT_ADDRESS_WIDTH });
  });
});

describe('EPT misconfigurations (SDM Vol. 3C 29.3.3.1)', () => {
  const expectMisconfigured = (reason: number, fields: Partial<EptFields> = {}) =>
    expect(go(READ, fields)).toMatchObject({ fault: StageFault.EPT_MISCONFIGURATION, reason, gpa: gpa48 });

  test('bits 2:0 are 010b or 110b, at any level', () => {
    for (const level of LEVELS.slice(1)) {
      const before = memory.read64(at[level]);
      for (const rights of [2n, 6n]) {
        set(level, (before & ~7n) | rights);
        expectMisconfigured(Reason.EPT_WRITE_WITHOUT_READ);
      }
      set(level, before);
    }
  });

  test('bits 2:0 are 100b without support for execute-only; with mode-based control bit 10 likewise', () => {
    set(1, 0x5034n);
    expectMisconfigured(Reason.EPT_EXECUTE_ONLY, { executeOnly: false });
    expect(go(EXECUTE).fault).toBe(StageFault.NONE);
    set(1, 0x5430n);
    expectMisconfigured(Reason.EPT_EXECUTE_ONLY, { executeOnly: false, modeBasedExecute: true });
    expect(go(READ, { executeOnly: false })).toMatchObject({ fault: StageFault.EPT_VIOLATION, reason: Reason.EPT_NOT_PRESENT });
  });

  test('reserved bits by kind of entry', () => {
    const range = (low: number, high: number) => Array.from({ length: high - low + 1 }, (_, i) => BigInt(low + i));
    const address = range(40, 51);
    const cases = [
      [5, 0x2007n, [...range(3, 7), ...address]],
      [4, 0x3007n, [...range(3, 7), ...address]],
      [3, 0x4007n, [...range(3, 6), ...address]],
      [3, 0x4000_0087n, [...range(12, 29), ...address]],
      [2, 0x5007n, [...range(3, 6), ...address]],
      [2, 0x20_0087n, [...range(12, 20), ...address]],
      [1, 0x5037n, address],
    ] as const;
    for (const [level, entry, reserved] of cases) {
      for (let bit = 0n; bit < 64n; bit++) {
        if ((entry >> bit) & 1n || bit === 7n || (bit >= 3n && bit <= 5n && !reserved.includes(bit))) continue; // PS and memory type: below
        set(level, entry | (1n << bit));
        const { fault, reason } = go(READ, { levels: 5 }, gpa48 + 3 * 2 ** 48);
        const got = fault === StageFault.EPT_MISCONFIGURATION && reason === Reason.EPT_RESERVED_BIT;
        // An address bit that is not reserved leads elsewhere, where other things may be wrong.
        if (reserved.includes(bit) || bit >= 52n || (bit >= 8n && bit <= 11n))
          expect([level, bit, got]).toEqual([level, bit, reserved.includes(bit)]);
      }
      set(level, BigInt((7 - level) * 0x1000) | (level === 1 ? 0x37n : 7n));
    }
  });

  test('bit 7 is reserved in PML5E and PML4E, and where the size is not supported', () => {
    set(4, 0x3087n);
    expectMisconfigured(Reason.EPT_RESERVED_BIT);
    set(4, 0x3007n);
    set(3, 0x4000_0087n);
    expectMisconfigured(Reason.EPT_RESERVED_BIT, { gbPages: false });
    set(3, 0x4007n);
    set(2, 0x20_0087n);
    expectMisconfigured(Reason.EPT_RESERVED_BIT, { mbPages: false });
  });

  test('memory types 2, 3 and 7 of a page', () => {
    for (let type = 0; type < 8; type++) {
      set(1, 0x5007n | BigInt(type << 3));
      if (type === 2 || type === 3 || type === 7) expectMisconfigured(Reason.EPT_MEMORY_TYPE);
      else expect(go(READ)).toMatchObject({ fault: StageFault.NONE, memoryType: type });
    }
  });

  test('comes before the rights of entries above it, which are judged at the page (29.3.3.3)', () => {
    set(4, 0x3005n);
    set(1, 0x501fn);
    expect(go(WRITE)).toMatchObject({ fault: StageFault.EPT_MISCONFIGURATION });
  });
});

describe('accessed and dirty flags for EPT (SDM Vol. 3C 29.3.5)', () => {
  const flags = () => [4, 3, 2, 1].map((level) => memory.read64(at[level as 1]) & (A | D));
  const ad = { accessedDirty: true };

  test('not without EPTP bit 6', () => {
    go(WRITE);
    expect(flags()).toEqual([0n, 0n, 0n, 0n]);
  });

  test('A in every entry; D in that of the page, by writes', () => {
    expect(go(READ, ad).allowed).toBe(READ | EXECUTE);
    expect(flags()).toEqual([A, A, A, A]);
    expect(go(WRITE, ad).allowed).toBe(7);
    expect(flags()).toEqual([A, A, A, A | D]);
  });

  test('by any access to a guest paging-structure entry', () => {
    go(READ | TABLE, ad);
    expect(flags()).toEqual([A, A, A, A | D]);
  });

  test('not by a violation in the page, not by INSPECT', () => {
    go(WRITE | INSPECT, ad);
    expect(flags()).toEqual([0n, 0n, 0n, 0n]);
    set(1, 0x5035n);
    go(WRITE, ad);
    expect(flags()).toEqual([A, A, A, 0n]);
  });

  test('page-modification logging: each page once, before D is set; a full log leaves D (29.3.6)', () => {
    const pages: number[] = [];
    const options = { pageModificationLog: { isFull: () => pages.length > 0, write: (gpa: number) => pages.push(gpa) } };
    go(READ, ad, gpa48, options);
    go(WRITE, ad, gpa48, options);
    go(WRITE, ad, gpa48, options);
    expect(pages).toEqual([gpa48 - 0xabc]);
    for (const access of [READ, WRITE]) {
      set(1, 0x5337n); // nothing to set
      expect(go(access, ad, gpa48, options).fault).toBe(StageFault.NONE);
      // Even where only an accessed flag is to be set.
      for (const entry of [0x5037n, 0x5237n]) {
        set(1, entry);
        expect(go(access, ad, gpa48, options)).toMatchObject({ fault: StageFault.PML_FULL });
        expect(memory.read64(at[1])).toBe(entry);
      }
    }
    expect(pages).toHaveLength(1);
  });

  test('the update is one locked compare-and-exchange: if the entry has changed, the walk begins again', () => {
    let meddled = false;
    Object.assign(memory, {
      compareExchange32(pa: number, expected: number, value: number): boolean {
        if (!meddled && pa === at[1]) {
          meddled = true;
          set(1, 0x8037n);
        }
        if ((memory.read32(pa) | 0) !== expected) return false;
        memory.write32(pa, value);
        return true;
      },
    });
    expect(go(WRITE, ad)).toMatchObject({ fault: StageFault.NONE, pa: 0x8abc });
    expect(memory.read64(at[1])).toBe(0x8037n | A | D);
  });
});
