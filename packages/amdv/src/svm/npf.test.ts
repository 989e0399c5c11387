import { asm64 } from '@minusone/asm';
import { describe, expect, test } from 'vitest';
import { SvmExit } from '../exit/codes.ts';
import { Guest, Place, TestHost } from './testing/test-host.ts';

const long = asm64.with({ origin: Guest.CODE });
const FINAL = 1n << 32n;
const TABLE = 1n << 33n;
const P = 1n;
const W = 2n;
const U = 4n;
const RSV = 8n;
const ID = 16n;
const EFER = 0xc000_0080;
/** SCE, LME, LMA, NXE, SVME. */
const HOST_EFER = 0x1d01n;
const NXE = 0x800n;
const present = (gpa: number, bits: bigint): bigint => BigInt(Place.GUEST + gpa) | bits;

/** Enters, and gives EXITINFO1, EXITINFO2 and RIP of the nested page fault. */
function npf(host: TestHost): readonly [bigint, number, number] {
  expect(host.enter()).toBe(SvmExit.NPF);
  return [host.get('EXITINFO1'), host.num('EXITINFO2'), host.num('RIP')];
}

describe('nested page faults: EXITINFO1 and the guest-physical address (APM Vol. 2, 15.25.6)', () => {
  test('a read, a write, a fetch of a page that is not present', () => {
    expect(npf(new TestHost().long().nestedEntry(0x5000, 0n).load(long`mov al, [0x5123]`))).toEqual([FINAL | U, 0x5123, 0x1000]);
    expect(npf(new TestHost().long().nestedEntry(0x5000, 0n).load(long`mov [0x5123], al`))).toEqual([FINAL | U | W, 0x5123, 0x1000]);
    // Bit 4 where the nested tables have no-execute pages, as of #PF.
    expect(npf(new TestHost().long().nestedEntry(Guest.CODE, 0n))).toEqual([FINAL | U | ID, 0x1000, 0x1000]);
    const host = new TestHost().long().nestedEntry(Guest.CODE, 0n);
    host.cpu.msrs.write(EFER, HOST_EFER & ~NXE);
    expect(npf(host)).toEqual([FINAL | U, 0x1000, 0x1000]);
  });
  test('a write of a read-only page; a read-modify-write is a write', () => {
    const host = new TestHost().long().nestedEntry(0x5000, present(0x5000, P | U));
    expect(npf(host.load(long`add dword [0x5123], 1`))).toEqual([FINAL | P | U | W, 0x5123, 0x1000]);
  });
  test('a supervisor page: every access of the guest is a user access (15.25.5)', () => {
    expect(
      npf(
        new TestHost()
          .long()
          .nestedEntry(0x5000, present(0x5000, P | W))
          .load(long`mov al, [0x5123]`),
      ),
    ).toEqual([FINAL | P | U, 0x5123, 0x1000]);
  });
  test('a reserved bit', () => {
    const host = new TestHost().long().nestedEntry(0x5000, present(0x5000, P | W | U) | (1n << 51n));
    expect(npf(host.load(long`mov al, [0x5123]`))[0]).toBe(FINAL | P | U | RSV);
  });
  test("no-execute pages, by the host's EFER.NXE", () => {
    const host = new TestHost().long().nestedEntry(Guest.CODE, present(Guest.CODE, P | W | U) | (1n << 63n));
    expect(npf(host)).toEqual([FINAL | P | U | ID, 0x1000, 0x1000]);
    expect(host.vmcb.instructionBytes.length).toBe(0);
    // Without, bit 63 is reserved.
    host.cpu.msrs.write(EFER, HOST_EFER & ~NXE);
    expect(npf(host)).toEqual([FINAL | P | U | RSV, 0x1000, 0x1000]);
  });
  test("a guest's table: bit 33, as a write", () => {
    const host = new TestHost().long().nestedEntry(Guest.TABLES + 0x3000, 0n);
    expect(npf(host)).toEqual([TABLE | U | W, Guest.TABLES + 0x3000 + 8, 0x1000]);
    const readOnly = new TestHost().long().nestedEntry(Guest.TABLES + 0x2000, present(Guest.TABLES + 0x2000, P | U));
    expect(npf(readOnly)).toEqual([TABLE | P | U | W, Guest.TABLES + 0x2000, 0x1000]);
  });
  test('beyond what is mapped', () => {
    const host = new TestHost().long();
    host.write64(Guest.TABLES + 0x3000 + 0x50 * 8, (0xabn << 32n) | 7n);
    expect(npf(host.load(long`mov al, [0x50123]`)).slice(0, 2)).toEqual([FINAL | U, 0xab_0000_0123]);
  });
  test("the guest's own page fault comes first", () => {
    const host = new TestHost().long().set({ INTERCEPT_EXCEPTIONS: 1n << 14n });
    host.nestedEntry(0x5000, 0n).write64(Guest.TABLES + 0x3000 + 5 * 8, 0n);
    expect(host.load(long`mov al, [0x5123]`).enter()).toBe(SvmExit.EXCP14);
  });
  test('an access over two pages, the second of which is missing, leaves no trace', () => {
    const host = new TestHost().long().nestedEntry(0x6000, 0n).write64(0x5ff8, 0x1111n);
    expect(npf(host.load(long`mov [0x5ffc], rax`))).toEqual([FINAL | U | W, 0x6000, 0x1000]);
    expect(host.read64(0x5ff8)).toBe(0x1111n);
  });
  test('the page is mended and the guest goes on; A and D are set in the nested tables', () => {
    const host = new TestHost()
      .long()
      .nestedEntry(0x5000, 0n)
      .load(long`
      mov dword [0x5010], 0x55
      hlt`);
    npf(host);
    host.nestedEntry(0x5000, present(0x5000, P | W | U));
    expect(host.enter()).toBe(SvmExit.HLT);
    expect(host.read64(0x5010) & 0xffn).toBe(0x55n);
    expect(host.physical.read64(Place.NESTED_TABLES + 0x3000 + 5 * 8) & 0x60n).toBe(0x60n);
  });
});

describe('instruction bytes (APM Vol. 2, 15.8.4)', () => {
  test('fewer where the next page cannot be fetched', () => {
    const host = new TestHost().long().nestedEntry(0x5000, 0n).set({ RIP: 0x1ff9n });
    host.load(asm64`mov al, [0x5123]`, 0x1ff9).nestedEntry(0x2000, 0n).set({ GDTR_BASE: 0x8000n });
    npf(host);
    expect([...host.vmcb.instructionBytes]).toEqual([...asm64`mov al, [0x5123]`]);
  });
  test('over the boundary where it can', () => {
    const host = new TestHost().long().nestedEntry(0x5000, 0n).set({ RIP: 0x1ffdn });
    host.load(asm64`mov al, [0x5123]`, 0x1ffd);
    npf(host);
    expect(host.vmcb.instructionBytes).toHaveLength(15);
    expect([...host.vmcb.instructionBytes.subarray(0, 7)]).toEqual([...asm64`mov al, [0x5123]`]);
  });
  test('no other exit has any', () => {
    const host = new TestHost().long().nestedEntry(0x5000, 0n).load(long`mov al, [0x5123]`);
    npf(host);
    host.set({ RIP: 0x1100n }).load(asm64`cpuid`, 0x1100);
    expect(host.enter()).toBe(SvmExit.CPUID);
    expect(host.vmcb.instructionBytes).toHaveLength(0);
  });
});
