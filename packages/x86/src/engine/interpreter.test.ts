import { PagingControls } from '@minusone/mmu';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Vector } from '../cpu/fault.ts';
import { setSegment } from '../cpu/segments/segment-register.ts';
import { Gpr, Segment, State } from '../state/layout.ts';
import { Exit } from './exit.ts';
import { TestCpu } from './test-machine.ts';

const { RAX, RBX, RCX, RSP, RSI, RDI } = Gpr;
const u64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
const ARITHMETIC = 0x8d5;

/** EFLAGS after a + b (+ carry) or a - b (- borrow) by SDM Vol. 1, 3.4.3.1, with BigInt. */
function expectedFlags(bits: bigint, a: bigint, b: bigint, carry: bigint, subtract: boolean): { result: bigint; flags: number } {
  const mask = (1n << bits) - 1n;
  const exact = subtract ? a - b - carry : a + b + carry;
  const result = exact & mask;
  const signed = (x: bigint): bigint => BigInt.asIntN(Number(bits), x);
  const exactSigned = subtract ? signed(a) - signed(b) - carry : signed(a) + signed(b) + carry;
  const nibble = subtract ? (a & 15n) - (b & 15n) - carry < 0n : (a & 15n) + (b & 15n) + carry > 15n;
  let ones = 0;
  for (let n = 0n; n < 8n; n++) ones += Number((result >> n) & 1n);
  const flags =
    (exact !== result ? 1 : 0) |
    (ones % 2 === 0 ? 4 : 0) |
    (nibble ? 0x10 : 0) |
    (result === 0n ? 0x40 : 0) |
    (signed(result) < 0n ? 0x80 : 0) |
    (exactSigned !== signed(result) ? 0x800 : 0);
  return { result, flags };
}

/** Conditions by number over EFLAGS (SDM Vol. 1, Appendix B). */
function holds(cc: number, flags: number): boolean {
  const [cf, pf, zf, sf, of] = [1, 4, 0x40, 0x80, 0x800].map((bit) => (flags & bit) !== 0);
  const even = [of, cf, zf, cf || zf, sf, pf, sf !== of, zf || sf !== of][cc >> 1];
  return (even === true) !== ((cc & 1) === 1);
}

describe('lazy flags', () => {
  const cpu = new TestCpu();
  test('ADD, SUB, ADC and SBB leave the flags of SDM Vol. 1, 3.4.3.1, at every size; the conditions are those of Appendix B', () => {
    const opcodes = { add: 0x00, adc: 0x10, sbb: 0x18, sub: 0x28 };
    fc.assert(
      fc.property(
        fc.constantFrom('add', 'adc', 'sbb', 'sub'),
        fc.constantFrom(1, 2, 4, 8),
        u64,
        fc.oneof(u64, fc.constantFrom(0n, 1n, 0x7fn, 0x80n, 0x8000_0000n)),
        fc.boolean(),
        fc.nat(15),
        (operation, bytes, a, b, carry, cc) => {
          const bits = BigInt(bytes * 8);
          const mask = (1n << bits) - 1n;
          const prefix = bytes === 2 ? [0x66] : bytes === 8 ? [0x48] : [];
          const opcode = opcodes[operation as keyof typeof opcodes] | (bytes === 1 ? 0 : 1);
          // op rax, rbx; setcc cl
          cpu.load([...prefix, opcode, 0xd8, 0x0f, 0x90 | cc, 0xc1]);
          cpu.rip = 0x1000n;
          cpu.setGpr(RAX, a).setGpr(RBX, b);
          cpu.eflags = 2 | (carry ? 1 : 0);
          const { instructions } = cpu.run(2);
          const usesCarry = operation === 'adc' || operation === 'sbb';
          const subtract = operation === 'sub' || operation === 'sbb';
          const { result, flags } = expectedFlags(bits, a & mask, b & mask, usesCarry && carry ? 1n : 0n, subtract);
          expect(instructions).toBe(2);
          expect(cpu.gpr(RAX) & mask).toBe(result);
          expect(cpu.eflags & ARITHMETIC).toBe(flags);
          expect(cpu.gpr(RCX) & 0xffn).toBe(holds(cc, flags) ? 1n : 0n);
        },
      ),
      { numRuns: 2000 },
    );
  });
  test('SETcc after POPF-like images and after logic reads the same conditions', () => {
    for (let image = 0; image < 64; image++) {
      const flags = (image & 1) | ((image & 2) << 1) | ((image & 4) << 2) | ((image & 8) << 3) | ((image & 16) << 3) | ((image & 32) << 6);
      for (let cc = 0; cc < 16; cc++) {
        cpu.load([0x0f, 0x90 | cc, 0xc1]);
        cpu.rip = 0x1000n;
        cpu.eflags = flags | 2;
        cpu.run(1);
        expect(cpu.gpr(RCX) & 1n).toBe(holds(cc, flags) ? 1n : 0n);
      }
    }
    for (const value of [0n, 1n, 0x8000_0000n, 0x7fff_ff00n]) {
      for (let cc = 0; cc < 16; cc++) {
        cpu.load([0x85, 0xc0, 0x0f, 0x90 | cc, 0xc1]); // test eax, eax
        cpu.rip = 0x1000n;
        cpu.setGpr(RAX, value);
        cpu.run(2);
        expect(cpu.gpr(RCX) & 1n).toBe(holds(cc, expectedFlags(32n, value, 0n, 0n, false).flags & 0xc4) ? 1n : 0n);
      }
    }
  });
  test('INC keeps CF (SDM Vol. 2A, INC)', () => {
    cpu.load([0x01, 0xd8, 0xff, 0xc0]); // add eax, ebx; inc eax
    cpu.rip = 0x1000n;
    cpu.setGpr(RAX, 0xffff_ffffn).setGpr(RBX, 0xffff_ffffn);
    cpu.run(2);
    expect(cpu.eflags & 1).toBe(1);
    expect(cpu.gpr(RAX)).toBe(0xffff_ffffn);
  });
});

describe('registers', () => {
  test('32-bit writes clear the upper half, 8- and 16-bit writes keep the rest (SDM Vol. 1, 3.4.1.1)', () => {
    const cpu = new TestCpu();
    cpu.load([0xb4, 0x12, 0x66, 0xb9, 0x34, 0x12, 0xbb, 0x78, 0x56, 0x34, 0x92]); // mov ah,12; mov cx,1234; mov ebx,92345678
    for (const register of [RAX, RCX, RBX]) cpu.setGpr(register, 0xffff_ffff_ffff_ffffn);
    cpu.run(3);
    expect([cpu.gpr(RAX), cpu.gpr(RCX), cpu.gpr(RBX)]).toEqual([0xffff_ffff_ffff_12ffn, 0xffff_ffff_ffff_1234n, 0x9234_5678n]);
  });
});

describe('budget', () => {
  test('exactly as many instructions run as the budget allows, inside blocks, across links and pages', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 60 }), (budget) => {
        const cpu = new TestCpu({ origin: 0x1ff6 });
        // inc rax (3 bytes) over the page's end; jmp back
        cpu.load([0x48, 0xff, 0xc0, 0x48, 0xff, 0xc0, 0x48, 0xff, 0xc0, 0x48, 0xff, 0xc0, 0x48, 0xff, 0xc0, 0xeb, 0xef]);
        const { instructions, exit } = cpu.run(budget);
        expect(exit).toBe(Exit.BUDGET);
        expect(instructions).toBe(budget);
        expect(cpu.gpr(RAX)).toBe(BigInt(budget - Math.floor(budget / 6)));
        expect(cpu.rip).toBe(0x1ff6n + BigInt((budget % 6) * 3));
        expect(cpu.engine.statistics.instructions).toBe(budget);
      }),
      { numRuns: 40 },
    );
  });
  test('a fault in the middle of a block is not counted and leaves RIP at the instruction', () => {
    const cpu = new TestCpu();
    cpu.load([0xff, 0xc0, 0xff, 0xc0, 0xf7, 0xf1, 0xff, 0xc0]); // inc eax twice; div ecx
    const run = cpu.run(10);
    expect(run).toMatchObject({ exit: Exit.FAULT, vector: Vector.DE, instructions: 2 });
    expect(cpu.rip).toBe(0x1004n);
  });
  test('bytes that are no instruction raise #UD when they are reached, not before', () => {
    const cpu = new TestCpu();
    cpu.load([0xff, 0xc0, 0x0f, 0x04]);
    expect(cpu.run(10)).toMatchObject({ exit: Exit.FAULT, vector: Vector.UD, instructions: 1 });
    expect(cpu.rip).toBe(0x1002n);
  });
});

describe('code that changes', () => {
  test('a store to code that has run is seen, also by the block that stores (SDM Vol. 3A, 8.1.3)', () => {
    const cpu = new TestCpu();
    // mov byte [0x1009], 0x41; inc eax -> becomes inc ecx
    cpu.load([0xc6, 0x04, 0x25, 0x0a, 0x10, 0, 0, 0xc1, 0x90, 0xff, 0xc0, 0xeb, 0xf3]);
    const first = cpu.run(3);
    expect(first.instructions).toBe(3);
    expect([cpu.gpr(RAX), cpu.gpr(RCX)]).toEqual([0n, 1n]);
  });
  test('writes by devices are seen', () => {
    const cpu = new TestCpu();
    cpu.load([0xff, 0xc0, 0xeb, 0xfc]);
    cpu.run(10);
    cpu.load([0xff, 0xc1]);
    cpu.run(10);
    expect([cpu.gpr(RAX), cpu.gpr(RCX)]).toEqual([5n, 5n]);
  });
});

describe('memory', () => {
  test('accesses across pages are whole, in both directions', () => {
    const cpu = new TestCpu();
    cpu.load([0x48, 0x89, 0x03, 0x48, 0x8b, 0x0b]); // mov [rbx], rax; mov rcx, [rbx]
    cpu.setGpr(RAX, 0x1122_3344_5566_7788n).setGpr(RBX, 0x2ffdn);
    cpu.run(2);
    expect(cpu.gpr(RCX)).toBe(0x1122_3344_5566_7788n);
    expect(cpu.physical.read64(0x2ffd)).toBe(0x1122_3344_5566_7788n);
  });
  test('a non-canonical address raises #GP(0), #SS(0) through the stack segment (SDM Vol. 1, 3.3.7.1)', () => {
    const cpu = new TestCpu();
    cpu.load([0x48, 0x8b, 0x03, 0x48, 0x8b, 0x04, 0x24]);
    cpu.setGpr(RBX, 0x8000_0000_0000n).setGpr(RSP, 0x7fff_ffff_fffcn);
    expect(cpu.run(1)).toMatchObject({ exit: Exit.FAULT, vector: Vector.GP, errorCode: 0 });
    cpu.rip = 0x1003n;
    expect(cpu.run(1)).toMatchObject({ exit: Exit.FAULT, vector: Vector.SS, errorCode: 0 });
  });
  test('RIP-relative addresses count from the next instruction (SDM Vol. 2A, 2.2.1.6)', () => {
    const cpu = new TestCpu();
    cpu.load([0xc7, 0x05, 0xf6, 0x0f, 0, 0, 1, 2, 3, 4]); // mov dword [rip + 0xff6], 04030201
    cpu.run(1);
    expect(cpu.physical.read32(0x2000)).toBe(0x0403_0201);
  });
  test('a read-modify-write of a read-only page faults before anything changes, with W set and CR2', () => {
    const cpu = new TestCpu({ paging: identity((page) => (page === 5 ? 0x1 : 0x3)) });
    identityTables(cpu, (page) => (page === 5 ? 0x1 : 0x3));
    cpu.load([0x48, 0x01, 0x03]); // add [rbx], rax
    cpu.setGpr(RAX, 1n).setGpr(RBX, 0x5008n);
    cpu.eflags = 2 | 0x8d5;
    expect(cpu.run(1)).toMatchObject({ exit: Exit.FAULT, vector: Vector.PF, errorCode: 3, faultAddress: 0x5008n, instructions: 0 });
    expect(cpu.eflags & ARITHMETIC).toBe(0x8d5);
  });
  test('a write across into a page that is not present writes nothing', () => {
    const rights = (page: number): number => (page === 6 ? 0 : 0x3);
    const cpu = new TestCpu({ paging: identity(rights) });
    identityTables(cpu, rights);
    cpu.load([0x48, 0x89, 0x03]);
    cpu.setGpr(RAX, -1n).setGpr(RBX, 0x5ffcn);
    expect(cpu.run(1)).toMatchObject({ exit: Exit.FAULT, vector: Vector.PF, errorCode: 2, faultAddress: 0x6000n });
    expect(cpu.physical.read32(0x5ffc)).toBe(0);
  });
  test('an instruction that leaves its page into one that is not present faults with CR2 at that page', () => {
    const rights = (page: number): number => (page === 6 ? 0 : 0x3);
    const cpu = new TestCpu({ paging: identity(rights), origin: 0x5ffe });
    identityTables(cpu, rights);
    cpu.load([0x48, 0xb8]);
    expect(cpu.run(1)).toMatchObject({ exit: Exit.FAULT, vector: Vector.PF, faultAddress: 0x6000n });
    expect(cpu.rip).toBe(0x5ffen);
  });
});

const PML4 = 0x80000;
function identity(_rights: (page: number) => number): PagingControls {
  return new PagingControls({ kind: '4-level', root: PML4, wp: true, nxe: true });
}
/** Maps the first 2 MiB to themselves, with rights by page. */
function identityTables(cpu: TestCpu, rights: (page: number) => number): void {
  cpu.physical.write64(PML4, BigInt(PML4 + 0x1000 + 7));
  cpu.physical.write64(PML4 + 0x1000, BigInt(PML4 + 0x2000 + 7));
  cpu.physical.write64(PML4 + 0x2000, BigInt(PML4 + 0x3000 + 7));
  for (let page = 0; page < 256; page++) cpu.physical.write64(PML4 + 0x3000 + page * 8, BigInt(page * 4096 + rights(page)));
}

describe('segments', () => {
  test('an access beyond the limit raises #GP(0), on the stack #SS(0) (SDM Vol. 3A, 5.3)', () => {
    const cpu = new TestCpu({ bits: 32 });
    for (const segment of [Segment.DS, Segment.SS]) setSegment(cpu.registers, segment, 0x10, 0x4093, 0x2fff, 0x1_0000);
    cpu.modeChanged();
    cpu.load([0x8b, 0x03, 0x50]); // mov eax, [ebx]; push eax
    cpu.setGpr(RBX, 0x2ffdn);
    expect(cpu.run(1)).toMatchObject({ exit: Exit.FAULT, vector: Vector.GP, errorCode: 0 });
    cpu.setGpr(RBX, 0x2ffcn).setGpr(RSP, 0x3002n);
    cpu.physical.write32(0x1_2ffc, 77);
    expect(cpu.run(2)).toMatchObject({ exit: Exit.FAULT, vector: Vector.SS, instructions: 1 });
    expect(cpu.gpr(RAX)).toBe(77n);
  });
  test('16-bit addresses wrap at 64 KiB before the base is added; a word at FFFFH raises #GP (SDM Vol. 3A, 20.1.1)', () => {
    const cpu = new TestCpu({ bits: 16, real: true });
    cpu.load([0x8a, 0x47, 0x10, 0x8b, 0x07]); // mov al, [bx+16]; mov ax, [bx]
    cpu.setGpr(RBX, 0xffffn);
    cpu.physical.write8(0xf, 0x5a);
    expect(cpu.run(2)).toMatchObject({ exit: Exit.FAULT, vector: Vector.GP, instructions: 1 });
    expect(cpu.gpr(RAX) & 0xffn).toBe(0x5an);
  });
  test('code runs from a base that is not aligned to a page, and not beyond the limit of CS', () => {
    const cpu = new TestCpu({ bits: 16, real: true, codeBase: 0x10230, origin: 0x100, segmentLimit: 0x11f });
    cpu.load(new Array(64).fill(0x40), 0x10330); // inc ax
    expect(cpu.run(100)).toMatchObject({ exit: Exit.FAULT, vector: Vector.GP, instructions: 32 });
    expect(cpu.rip).toBe(0x120n);
    expect(cpu.gpr(RAX)).toBe(32n);
  });
});

describe('strings', () => {
  const repMovs = [0xf3, 0x48, 0xa5];
  test('REP MOVS copies across pages, and counts as one instruction', () => {
    const cpu = new TestCpu();
    const data = Uint8Array.from({ length: 12_000 }, (_, n) => (n * 7) & 0xff);
    cpu.load(data, 0x2_0004).load(repMovs);
    cpu.setGpr(RCX, 1500n).setGpr(RSI, 0x2_0004n).setGpr(RDI, 0x4_0ff8n);
    expect(cpu.run(1).instructions).toBe(1);
    expect(cpu.physical.read(0x4_0ff8, data.length)).toEqual(data);
    expect([cpu.gpr(RCX), cpu.gpr(RSI), cpu.gpr(RDI)]).toEqual([0n, 0x2_0004n + 12_000n, 0x4_0ff8n + 12_000n]);
  });
  test('a forward overlap repeats the pattern, and DF = 1 goes down (SDM Vol. 2B, MOVS)', () => {
    const cpu = new TestCpu();
    cpu.load([0xf3, 0xa4]).load([1, 2, 3], 0x2000);
    cpu.setGpr(RCX, 9n).setGpr(RSI, 0x2000n).setGpr(RDI, 0x2003n);
    cpu.run(1);
    expect([...cpu.physical.read(0x2000, 12)]).toEqual([1, 2, 3, 1, 2, 3, 1, 2, 3, 1, 2, 3]);
    cpu.rip = 0x1000n;
    cpu.eflags = 0x402;
    cpu.setGpr(RCX, 3n).setGpr(RSI, 0x2002n).setGpr(RDI, 0x3002n);
    cpu.run(1);
    expect([...cpu.physical.read(0x3000, 4)]).toEqual([1, 2, 3, 0]);
    expect([cpu.gpr(RSI), cpu.gpr(RDI)]).toEqual([0x1fffn, 0x2fffn]);
  });
  test.each([
    [0xaa, 1, []],
    [0xab, 2, [0x66]],
    [0xab, 4, []],
    [0xab, 8, [0x48]],
  ])('REP STOS %i fills with the accumulator, %i bytes at a time', (opcode, bytes, prefix) => {
    const cpu = new TestCpu();
    cpu.load([0xf3, ...prefix, opcode]);
    cpu.setGpr(RAX, 0x8877_6655_4433_2211n).setGpr(RCX, 1000n).setGpr(RDI, 0x2ffen);
    cpu.run(1);
    const filled = cpu.physical.read(0x2ffe, 1000 * bytes + 1);
    for (let n = 0; n < 1000 * bytes; n++) expect(filled[n]).toBe(0x11 * ((n % bytes) + 1));
    expect(filled[1000 * bytes]).toBe(0);
  });
  test('REPE CMPSB stops after the difference; REPNE SCASB after the match; flags are the last comparison', () => {
    const cpu = new TestCpu();
    cpu.load([0xf3, 0xa6, 0xf2, 0xae]).load([1, 2, 3, 4], 0x2000).load([1, 2, 9, 4], 0x3000);
    cpu.setGpr(RCX, 4n).setGpr(RSI, 0x2000n).setGpr(RDI, 0x3000n);
    cpu.run(1);
    expect([cpu.gpr(RCX), cpu.gpr(RSI)]).toEqual([1n, 0x2003n]);
    expect(cpu.eflags & 0x41).toBe(1);
    cpu.setGpr(RCX, 10n).setGpr(RDI, 0x3000n).setGpr(RAX, 4n);
    cpu.run(1);
    expect([cpu.gpr(RCX), cpu.gpr(RDI)]).toEqual([6n, 0x3004n]);
    expect(cpu.eflags & 0x40).toBe(0x40);
  });
  test('a fault in the middle leaves the registers at that iteration (SDM Vol. 2B, REP)', () => {
    const rights = (page: number): number => (page === 6 ? 0x1 : 0x3);
    const cpu = new TestCpu({ paging: identity(rights) });
    identityTables(cpu, rights);
    cpu.load([0xf3, 0xaa]);
    cpu.setGpr(RCX, 100n).setGpr(RDI, 0x5ff0n);
    expect(cpu.run(1)).toMatchObject({ exit: Exit.FAULT, vector: Vector.PF, instructions: 0, faultAddress: 0x6000n });
    expect([cpu.gpr(RCX), cpu.gpr(RDI), cpu.rip]).toEqual([84n, 0x6000n, 0x1000n]);
  });
  test('stepping with TF makes one iteration at a time', () => {
    const cpu = new TestCpu();
    cpu.load([0xf3, 0xaa]);
    cpu.registers.set32(State.eflags, 0x102);
    cpu.setGpr(RCX, 3n).setGpr(RDI, 0x2000n);
    cpu.step();
    expect([cpu.gpr(RCX), cpu.rip]).toEqual([2n, 0x1000n]);
    cpu.step();
    cpu.step();
    expect([cpu.gpr(RCX), cpu.rip]).toEqual([0n, 0x1002n]);
  });
});

describe('control', () => {
  test('CALL and RET work across pages through the jump cache; a return to a non-canonical address faults with RSP unchanged', () => {
    const cpu = new TestCpu();
    cpu.load([0xe8, 0xfb, 0x1f, 0, 0, 0xff, 0xc1, 0xeb, 0xf7]).load([0xff, 0xc0, 0xc3], 0x3000);
    cpu.run(500);
    expect([cpu.gpr(RAX), cpu.gpr(RCX)]).toEqual([100n, 100n]);
    cpu.load([0xc3]);
    cpu.rip = 0x1000n;
    cpu.setGpr(RSP, 0x8000n);
    cpu.physical.write64(0x8000, 0x8000_0000_0000_0000n);
    expect(cpu.run(1)).toMatchObject({ exit: Exit.FAULT, vector: Vector.GP });
    expect([cpu.gpr(RSP), cpu.rip]).toEqual([0x8000n, 0x1000n]);
  });
  test('the trace sees each instruction, and the result is the same', () => {
    const cpu = new TestCpu();
    cpu.load([0xb9, 10, 0, 0, 0, 0xff, 0xc0, 0xff, 0xc9, 0x75, 0xfa]);
    let count = 0;
    cpu.engine.trace = () => count++;
    cpu.run(31);
    expect([count, cpu.gpr(RAX), cpu.rip]).toEqual([31, 10n, 0x100bn]);
  });
});

describe('devices', () => {
  test('MMIO is read and written at its size, and the engine leaves after the instruction', () => {
    const cpu = new TestCpu();
    const writes: number[][] = [];
    cpu.physical.mapMmio(0xd_0000, 0x1000, {
      readMmio: (offset, size) => offset + size,
      writeMmio: (offset, size, value) => void writes.push([offset, size, value]),
    });
    cpu.load([0x8b, 0x03, 0x66, 0x89, 0x43, 0x10]); // mov eax, [rbx]; mov [rbx+16], ax
    cpu.setGpr(RBX, 0xd_0008n);
    cpu.registers.set32(State.budget, 10);
    expect(cpu.engine.execute()).toBe(Exit.LEAVE);
    expect([cpu.rip, cpu.gpr(RAX), cpu.registers.get32(State.budget)]).toEqual([0x1002n, 12n, 9]);
    expect(cpu.engine.execute()).toBe(Exit.LEAVE);
    expect(writes).toEqual([[0x18, 2, 12]]);
  });
  test('a read that the gate refuses leaves no trace, and runs again', () => {
    let isOpen = false;
    const cpu = new TestCpu({ gate: { mayRead: () => isOpen, mayReadPort: () => true } });
    cpu.physical.mapMmio(0xd_0000, 0x1000, { readMmio: () => 7, writeMmio: () => {} });
    cpu.load([0xff, 0xc1, 0x01, 0x03, 0x03, 0x03]); // inc ecx; add [rbx], eax; add eax, [rbx]
    cpu.setGpr(RBX, 0xd_0000n).setGpr(RAX, 1n);
    expect(cpu.run(3)).toMatchObject({ exit: Exit.RESTART, instructions: 1 });
    expect([cpu.rip, cpu.gpr(RCX)]).toEqual([0x1002n, 1n]);
    isOpen = true;
    expect(cpu.run(2).instructions).toBe(2);
    expect(cpu.gpr(RAX)).toBe(8n);
  });
});
