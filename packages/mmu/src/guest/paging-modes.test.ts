import { describe, expect, test } from 'vitest';
import { Access } from '../access.ts';
import { ByteMemory } from '../physical-memory.ts';
import { PageFaultError } from './page-fault.ts';
import { PagingControls, type PagingFields, pdpteHasReservedBits } from './paging-controls.ts';
import { walk } from './walk.ts';
import { WalkFault, WalkResult } from './walk-result.ts';

const { P, RSVD } = PageFaultError;
const memory = new ByteMemory(new Uint8Array(0x10000));
const result = new WalkResult();

function read(fields: PagingFields, va: bigint, access: number = Access.READ): WalkResult {
  walk(new PagingControls(fields), memory, Number(BigInt.asIntN(32, va)), Number(BigInt.asIntN(32, va >> 32n)), access, null, result);
  return result;
}

function expectPage(fields: PagingFields, va: bigint, pa: number, pageBytes: number): void {
  const { ok, ...found } = read(fields, va);
  expect({ ok, pa: found.pa, gpa: found.gpa, pageBytes: found.pageBytes }).toEqual({ ok: true, pa, gpa: pa, pageBytes });
}

function expectReserved(fields: PagingFields, va: bigint, level: number): void {
  const { ok, fault, errorCode, level: at } = read(fields, va);
  expect({ ok, fault, errorCode, at }).toEqual({ ok: false, fault: WalkFault.PAGE_FAULT, errorCode: P | RSVD, at: level });
}

test('without paging a linear address is the physical address (SDM Vol. 3A 4.1.1)', () => {
  expectPage({ kind: 'none' }, 0xffff_fff0n, 0xffff_fff0, 4096);
  expect(result.allowed).toBe(7);
});

describe('32-bit paging (SDM Vol. 3A 4.3)', () => {
  const fields: PagingFields = { kind: '32-bit', root: 0x1000, pse: true, maxPhyAddr: 40 };
  const va = 0xc040_1234n; // PDE 0x301, PTE 1
  const pde = 0x1000 + 0x301 * 4;

  test('4-KByte page: bits 31:22 index the directory, 21:12 the table, 11:0 are the offset', () => {
    memory.write32(pde, 0x2001);
    memory.write32(0x2004, 0xabcd_e001);
    expectPage(fields, va, 0xabcd_e234, 4096);
  });

  test('4-MByte page with CR4.PSE: offset is bits 21:0', () => {
    memory.write32(pde, 0x8000_0081);
    expectPage(fields, va, 0x8000_1234, 2 ** 22);
  });

  test('PS is ignored without CR4.PSE', () => {
    memory.write32(pde, 0x2081);
    memory.write32(0x2004, 0x5001);
    expectPage({ ...fields, pse: false }, va, 0x5234, 4096);
  });

  test('with PSE-36, PDE bits 20:13 are address bits 39:32 (Table 4-4)', () => {
    memory.write32(pde, 0x8000_0081 | (0xa5 << 13));
    expectPage({ ...fields, pse36: true }, va, 0xa5 * 2 ** 32 + 0x8000_1234, 2 ** 22);
  });

  test.each([
    ['without PSE-36: bits 21:13', false, 40, 13, 21],
    ['PSE-36, MAXPHYADDR 36: bits 21:17', true, 36, 17, 21],
    ['PSE-36, MAXPHYADDR 46: M is 40, bit 21', true, 46, 21, 21],
  ] as const)('reserved bits of a 4-MByte PDE %s (Table 4-4)', (_, pse36, maxPhyAddr, low, high) => {
    for (let bit = 13; bit <= 21; bit++) {
      memory.write32(pde, 0x8000_0081 | (1 << bit));
      if (bit >= low && bit <= high) expectReserved({ ...fields, pse36, maxPhyAddr }, va, 2);
      else expect(read({ ...fields, pse36, maxPhyAddr }, va).ok).toBe(true);
    }
  });

  test('PAT is bit 12 of a 4-MByte PDE and bit 7 of a PTE (4.9.2)', () => {
    memory.write32(pde, 0x8000_1081);
    expectPage(fields, va, 0x8000_1234, 2 ** 22);
    expect(result.patIndex).toBe(4);
    memory.write32(pde, 0x2001);
    memory.write32(0x2004, 0x4099);
    expectPage(fields, va, 0x4234, 4096);
    expect(result.patIndex).toBe(7);
    memory.write32(0x2004, 0x5011);
    expectPage(fields, va, 0x5234, 4096);
    expect(result.patIndex).toBe(2);
  });

  test('there is no execute-disable bit', () => {
    memory.write32(pde, 0x2001);
    memory.write32(0x2004, 0xffff_f001);
    expect(read({ ...fields, nxe: true }, va, Access.EXECUTE).ok).toBe(true);
  });
});

test('32-bit paging: rights are those of PDE and PTE together (SDM Vol. 3A 4.6)', () => {
  for (const [pde, pte] of [
    [1, 7],
    [7, 1],
  ] as const) {
    memory.write32(0x1000, 0x2000 | pde);
    memory.write32(0x2000, 0x5000 | pte);
    expect(read({ kind: '32-bit', root: 0x1000 }, 0n)).toMatchObject({ ok: true, user: false, writable: false });
  }
});

describe('PAE paging (SDM Vol. 3A 4.4)', () => {
  const va = 0xc060_3456n; // PDPTE 3, PDE 3, PTE 3
  const fields: PagingFields = { kind: 'pae', pdptes: [0n, 0n, 0n, 0x2001n], maxPhyAddr: 40 };

  test('the PDPTE registers are indexed by bits 31:30; memory is not read for them', () => {
    memory.write64(0x2018, 0x3001n);
    memory.write64(0x3018, 0xab_1234_5001n);
    expectPage(fields, va, 0xab_1234_5456, 4096);
    expect(read(fields, 0n)).toMatchObject({ ok: false, level: 3, errorCode: 0 });
  });

  test('2-MByte page', () => {
    memory.write64(0x2018, 0x12_3460_0081n);
    expectPage(fields, va, 0x12_3460_3456, 2 ** 21);
  });

  test('bits 62:MAXPHYADDR are reserved in PDE and PTE, and 63 without NXE (Tables 4-9 to 4-11)', () => {
    for (const bit of [40n, 51n, 52n, 62n, 63n]) {
      memory.write64(0x2018, 0x3001n | (1n << bit));
      memory.write64(0x3018, 0x5001n);
      expectReserved(fields, va, 2);
      memory.write64(0x2018, 0x3001n);
      memory.write64(0x3018, 0x5001n | (1n << bit));
      expectReserved(fields, va, 1);
      if (bit === 63n) expect(read({ ...fields, nxe: true }, va).ok).toBe(true);
      else expectReserved({ ...fields, nxe: true }, va, 1);
    }
  });

  test('bits 20:13 of a 2-MByte PDE are reserved, 12 is PAT (Table 4-9)', () => {
    for (let bit = 13n; bit <= 20n; bit++) {
      memory.write64(0x2018, 0x20_0081n | (1n << bit));
      expectReserved(fields, va, 2);
    }
    memory.write64(0x2018, 0x20_1081n);
    expectPage(fields, va, 0x20_3456, 2 ** 21);
    expect(result.patIndex).toBe(4);
  });

  test('a present PDPTE must have bits 2:1, 8:5 and 63:MAXPHYADDR clear (4.4.1, Table 4-8)', () => {
    const reserved = (bit: number) => pdpteHasReservedBits(1 | (bit < 32 ? 1 << bit : 0), bit < 32 ? 0 : 1 << (bit - 32), 40);
    for (let bit = 1; bit < 64; bit++) expect([bit, reserved(bit)]).toEqual([bit, [1, 2, 5, 6, 7, 8].includes(bit) || bit >= 40]);
    expect(pdpteHasReservedBits(0x1e6, -1, 40)).toBe(false);
    expectReserved({ ...fields, pdptes: [0n, 0n, 0n, 0x2003n] }, va, 3);
  });
});

describe('4-level and 5-level paging (SDM Vol. 3A 4.5)', () => {
  // PML5E 0x0f1, PML4E 0x123, PDPTE 0x145, PDE 0x067, PTE 0x189, offset 0xabc
  const va = (0xf1n << 48n) | (0x123n << 39n) | (0x145n << 30n) | (0x67n << 21n) | (0x189n << 12n) | 0xabcn;
  const pml5e = 0x1000 + 0xf1 * 8;
  const pml4e = 0x2000 + 0x123 * 8;
  const pdpte = 0x3000 + 0x145 * 8;
  const pde = 0x4000 + 0x67 * 8;
  const pte = 0x5000 + 0x189 * 8;
  const fields4: PagingFields = { kind: '4-level', root: 0x2000, maxPhyAddr: 46 };
  const fields5: PagingFields = { kind: '5-level', root: 0x1000, maxPhyAddr: 46 };
  const reset = () => {
    memory.write64(pml5e, 0x2001n);
    memory.write64(pml4e, 0x3001n);
    memory.write64(pdpte, 0x4001n);
    memory.write64(pde, 0x5001n);
    memory.write64(pte, 0x3fff_dead_b001n);
  };

  test('4-KByte page: nine bits for each level', () => {
    reset();
    expectPage(fields4, va, 0x3fff_dead_babc, 4096);
    expectPage(fields5, va, 0x3fff_dead_babc, 4096);
  });

  test('2-MByte page, 1-GByte page', () => {
    reset();
    memory.write64(pde, 0x3fff_dea0_0081n);
    expectPage(fields4, va, 0x3fff_dea0_0000 + Number(va & 0x1f_ffffn), 2 ** 21);
    memory.write64(pdpte, 0x3fff_c000_0081n);
    expectPage({ ...fields5, gbPages: true }, va, 0x3fff_c000_0000 + Number(va & 0x3fff_ffffn), 2 ** 30);
  });

  test('PS of a PDPTE is reserved where CPUID has no 1-GByte pages', () => {
    reset();
    memory.write64(pdpte, 0x4000_0081n);
    expectReserved(fields4, va, 3);
  });

  test('PS is reserved in PML4E and PML5E (Tables 4-14, 4-15)', () => {
    reset();
    memory.write64(pml4e, 0x3081n);
    expectReserved(fields4, va, 4);
    memory.write64(pml5e, 0x2081n);
    expectReserved(fields5, va, 5);
  });

  test('bits 51:MAXPHYADDR are reserved at each level; 62:52 are ignored; 63 is reserved without NXE', () => {
    for (const [level, at] of [pte, pde, pdpte, pml4e, pml5e].entries()) {
      for (const bit of [46n, 51n, 52n, 62n, 63n]) {
        reset();
        memory.write64(at, memory.read64(at) | (1n << bit));
        if (bit < 52n || bit === 63n) expectReserved(fields5, va, level + 1);
        else expectPage(fields5, va, 0x3fff_dead_babc, 4096);
        if (bit === 63n) expectPage({ ...fields5, nxe: true }, va, 0x3fff_dead_babc, 4096);
      }
    }
  });

  test('with MAXPHYADDR 52 no address bit is reserved, with 32 all above 4 GBytes', () => {
    reset();
    memory.write64(pte, 0xf_ffff_ffff_f001n);
    expectPage({ ...fields4, maxPhyAddr: 52 }, va, 2 ** 52 - 4096 + 0xabc, 4096);
    memory.write64(pte, 0x1_0000_0001n);
    expectReserved({ ...fields4, maxPhyAddr: 32 }, va, 1);
  });

  test('bits 20:13 of a 2-MByte PDE and 29:13 of a 1-GByte PDPTE are reserved', () => {
    for (let bit = 13n; bit <= 30n; bit++) {
      reset();
      memory.write64(pde, 0x81n | (1n << bit));
      if (bit <= 20n) expectReserved(fields4, va, 2);
      else expect(read(fields4, va).ok).toBe(true);
      memory.write64(pdpte, 0x81n | (1n << bit));
      if (bit <= 29n) expectReserved({ ...fields4, gbPages: true }, va, 3);
      else expect(read({ ...fields4, gbPages: true }, va).ok).toBe(true);
    }
  });

  test('bit 8 of PML4E and of a PDPTE that references a table: ignored by Intel, MBZ on AMD (APM Vol. 2 5.3.3)', () => {
    for (const [level, at] of [
      [4, pml4e],
      [3, pdpte],
    ] as const) {
      reset();
      memory.write64(at, memory.read64(at) | 0x100n);
      expectPage(fields4, va, 0x3fff_dead_babc, 4096);
      expectReserved({ ...fields4, tableGlobalReserved: true }, va, level);
    }
  });

  test('G counts in the entry that maps the page, with CR4.PGE (4.10.2.4)', () => {
    reset();
    memory.write64(pde, 0x5101n);
    expect(read({ ...fields4, pge: true }, va).global).toBe(false);
    memory.write64(pte, 0x6101n);
    expect(read({ ...fields4, pge: true }, va).global).toBe(true);
    expect(read(fields4, va).global).toBe(false);
  });

  test('halves of an address may be signed or unsigned', () => {
    memory.write64(0x2000 + 511 * 8, 0x3001n);
    memory.write64(0x3000 + 511 * 8, 0x4001n);
    memory.write64(0x4000 + 511 * 8, 0x5001n);
    memory.write64(0x5000 + 511 * 8, 0x7001n);
    const controls = new PagingControls(fields4);
    for (const [lo, hi] of [
      [-8, -1],
      [0xffff_fff8, 0xffff_ffff],
    ] as const) {
      expect(walk(controls, memory, lo, hi, Access.READ, null, result)).toBe(true);
      expect(result.pa).toBe(0x7ff8);
    }
  });

  test('where no memory stands, an entry reads as all ones: reserved bits', () => {
    reset();
    memory.write64(pml4e, 0x10_0000_0001n);
    expectReserved(fields4, va, 3);
  });
});

test.each([31, 53, 40.5])('MAXPHYADDR %s is refused', (maxPhyAddr) => {
  expect(() => new PagingControls({ kind: 'none', maxPhyAddr })).toThrow(/whole number from 32 to 52/);
});

test('a root that is no physical address, or PAE without PDPTEs, is refused', () => {
  expect(() => new PagingControls({ kind: '4-level', root: 2 ** 52 })).toThrow(/not a physical address/);
  expect(() => new PagingControls({ kind: 'pae', root: 0x1000 })).toThrow(/PDPTEs/);
});
