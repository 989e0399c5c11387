import { expect, test } from 'vitest';
import { State } from '../state/layout.ts';
import { modelLeaf } from './cpuid/leaves.ts';
import { amd, intel } from './cpuid/model.ts';
import { CODE, STACK, TestMachine } from './test-machine.ts';

/** Runs code at CPL 0 in 32-bit or 64-bit mode; the vector that it raised, or -1. */
function raised(code: readonly number[], set: (m: TestMachine) => void = () => undefined, long = false): number {
  const m = new TestMachine().protected({ long }).code([...code, 0xf4]);
  set(m);
  m.run();
  return m.handled;
}

const movCr = (register: number): number[] => [0x0f, 0x22, 0xc0 | (register << 3)]; // mov crN, eax

test.each([
  ['PG without PE', 0, 0x80000010],
  ['NW without CD', 0, 0x20000011],
])('MOV CR0: %s is #GP(0) (SDM Vol. 2B, MOV CR)', (_name, register, value) => {
  expect(raised(movCr(register), (m) => m.setGpr(0, value))).toBe(13);
});

test('MOV CR4: a bit that the model does not have is #GP(0); PCIDE needs long mode (SDM Vol. 3A, 2.5, 4.10.1)', () => {
  expect(raised(movCr(4), (m) => m.setGpr(0, 1 << 12))).toBe(13);
  expect(raised(movCr(4), (m) => m.setGpr(0, 1 << 17))).toBe(13);
  expect(raised(movCr(4), (m) => m.setGpr(0, (1 << 17) | 0x20), true)).toBe(-1);
  expect(raised(movCr(4), (m) => m.setGpr(0, 0), true)).toBe(13); // PAE cannot be cleared in IA-32e mode
});

test('CR1, CR5 ... do not exist: #UD (SDM Vol. 2B, MOV CR)', () => {
  expect(raised(movCr(1))).toBe(6);
  expect(raised(movCr(5))).toBe(6);
});

test('setting PG with EFER.LME needs CR4.PAE; then EFER.LMA is set (SDM Vol. 3A, 9.8.5)', () => {
  const prepare = (pae: boolean) => (m: TestMachine) => {
    m.cpu.registers.set64(State.efer, 0x100n);
    m.cpu.registers.set32(State.cr4, pae ? 0x20 : 0);
    m.cpu.registers.set64(State.cr3, 0x10000n);
    m.physical.write32(0x10000, 0x11007);
    m.physical.write32(0x11000, 0x12007);
    m.physical.write32(0x12000, 0x87);
    m.cpu.updatePaging();
    m.setGpr(0, 0x80000031);
  };
  expect(raised(movCr(0), prepare(false))).toBe(13);
  const m = new TestMachine().protected().code([...movCr(0), 0xf4]);
  prepare(true)(m);
  expect(m.run()).toBe('halted');
  expect(m.cpu.registers.get32(State.efer)).toBe(0x500);
  expect([m.cpu.isLongMode, m.cpu.codeBits]).toEqual([true, 32]);
});

test('PAE paging loads the PDPTEs, and a reserved bit in one is #GP(0) (SDM Vol. 3A, 4.4.1)', () => {
  const prepare = (entry: number) => (m: TestMachine) => {
    m.cpu.registers.set32(State.cr4, 0x20);
    m.cpu.registers.set64(State.cr3, 0x10000n);
    m.physical.write32(0x10000, entry);
    m.physical.write32(0x11000, 0xe7);
    m.setGpr(0, 0x80000031);
  };
  expect(raised(movCr(0), prepare(0x11001))).toBe(-1);
  expect(raised(movCr(0), prepare(0x11003))).toBe(13);
});

test('DR4 is DR6 without CR4.DE and #UD with it; GD makes any access #DB with BD (SDM Vol. 3B, 17.2.2, 17.2.4)', () => {
  const readDr4 = [0x0f, 0x21, 0xe0];
  expect(raised(readDr4)).toBe(-1);
  expect(raised(readDr4, (m) => m.cpu.registers.set32(State.cr4, 8))).toBe(6);
  const m = new TestMachine().protected().code([0x0f, 0x21, 0xc0]);
  m.cpu.debug.write(7, 0x2000n);
  m.run();
  expect([m.handled, m.stack(1, 4)[0]]).toEqual([1, CODE]);
  expect(m.cpu.registers.get32(State.dr6) & 0x2000).toBe(0x2000);
  expect(m.cpu.registers.get32(State.dr7) & 0x2000).toBe(0);
});

test('RDMSR of an unknown MSR is #GP(0); at CPL 3 of any (SDM Vol. 2B, RDMSR)', () => {
  expect(raised([0x0f, 0x32], (m) => m.setGpr(1, 0x12345))).toBe(13);
  const m = new TestMachine().protected({ cpl: 3 }).code([0x0f, 0x32]).setGpr(1, 0x10);
  m.run();
  expect(m.handled).toBe(13);
});

test('WRMSR checks: canonical bases, reserved bits, PAT types (SDM Vol. 2D, WRMSR; Vol. 3A, 11.12.4)', () => {
  const { msrs } = new TestMachine().cpu;
  expect(() => msrs.write(0xc0000100, 1n << 47n)).toThrow();
  expect(() => msrs.write(0xc0000084, 1n << 32n)).toThrow();
  expect(() => msrs.write(0x277, 2n)).toThrow();
  expect(() => msrs.write(0x2ff, 2n)).toThrow();
  expect(() => msrs.write(0xc0000080, 1n << 12n)).toThrow(); // SVME: no extension offers it
  msrs.write(0x277, 0x0007_0406_0007_0106n);
  expect(msrs.read(0x277)).toBe(0x0007_0406_0007_0106n);
});

test("each vendor's MSRs are only on its processors", () => {
  const { msrs } = new TestMachine({ model: amd }).cpu;
  expect(msrs.read(0xc0010015)).toBe(0x01000000n);
  expect(() => msrs.read(0x1a0)).toThrow();
  expect(() => new TestMachine().cpu.msrs.read(0xc0010015)).toThrow();
});

test('a write to the TSC moves IA32_TSC_ADJUST by as much (SDM Vol. 3B, 17.17.3)', () => {
  const { msrs } = new TestMachine().cpu;
  msrs.write(0x10, 1000n);
  expect(msrs.read(0x3b)).toBe(1000n);
  msrs.write(0x3b, 0n);
  expect(msrs.read(0x10)).toBe(0n);
});

test('CPUID: vendor, signature, features; a feature taken away is not advertised and its instruction is #UD (SDM Vol. 2A, CPUID)', () => {
  const topology = { apicId: 0, cpus: 1 };
  const leaf0 = modelLeaf(intel, 0, 0, topology, 1);
  expect(leaf0.ebx).toBe(0x756e6547); // "Genu"
  expect(modelLeaf(amd, 0, 0, topology, 1).ebx).toBe(0x68747541); // "Auth"
  expect(modelLeaf(intel, 1, 0, topology, 1).eax).toBe(0x00050654);
  expect(modelLeaf(amd, 1, 0, topology, 1).eax).toBe(0x00830f10);
  const without = intel.without('RDTSCP', 'SMAP');
  expect(modelLeaf(without, 7, 0, topology, 1).ebx & (1 << 20)).toBe(0);
  expect(modelLeaf(intel, 7, 0, topology, 1).ebx & (1 << 20)).not.toBe(0);
  const m = new TestMachine({ model: without }).protected().code([0x0f, 0x01, 0xf9]);
  m.run();
  expect(m.handled).toBe(6);
});

test('CPUID ignores ECX but for the leaves that have sub-leaves (SDM Vol. 2A, CPUID)', () => {
  const topology = { apicId: 0, cpus: 1 };
  expect(modelLeaf(intel, 0x80000001, 0x1234, topology, 1)).toEqual(modelLeaf(intel, 0x80000001, 0, topology, 1));
  expect(modelLeaf(intel, 1, 7, topology, 1)).toEqual(modelLeaf(intel, 1, 0, topology, 1));
  expect(modelLeaf(intel, 7, 1, topology, 1).ebx).toBe(0);
});

test('CPUID beyond the last basic leaf: the last one on Intel, zeros on AMD (SDM Vol. 2A, CPUID; APM Vol. 3, E.2)', () => {
  const topology = { apicId: 0, cpus: 1 };
  expect(modelLeaf(intel, 0x20, 0, topology, 1)).toEqual(modelLeaf(intel, 0x16, 0, topology, 1));
  expect(modelLeaf(amd, 0x20, 0, topology, 1)).toEqual({ eax: 0, ebx: 0, ecx: 0, edx: 0 });
});

test('SWAPGS exchanges GS.base and IA32_KERNEL_GS_BASE (SDM Vol. 2B, SWAPGS)', () => {
  const m = new TestMachine().protected({ long: true }).code([0x0f, 0x01, 0xf8, 0xf4]);
  m.cpu.msrs.write(0xc0000101, 0x1000n);
  m.cpu.msrs.write(0xc0000102, 0xffff800000000000n);
  m.run();
  expect(m.cpu.msrs.read(0xc0000101)).toBe(0xffff800000000000n);
  expect(m.cpu.msrs.read(0xc0000102)).toBe(0x1000n);
});

test.each([
  { fcw: 0x37f, image: 0xffff, loaded: 0x7f7f, why: 'all exceptions are masked' },
  { fcw: 0x37e, image: 0x0001, loaded: 0x8081, why: 'an invalid operation is pending' },
  { fcw: 0x37e, image: 0x8082, loaded: 0x0002, why: 'the only flag is of a masked exception' },
])('FXRSTOR makes ES and B of the flags and masks it loads: $why (SDM Vol. 1, 8.1.3.3)', ({ fcw, image, loaded }) => {
  const m = new TestMachine().protected({ long: true }).code([0x0f, 0xae, 0x0b, 0xf4]).setGpr(3, 0x8000); // fxrstor [rbx]
  m.physical.write16(0x8000, fcw);
  m.physical.write16(0x8002, image);
  m.physical.write32(0x8018, 0x1f80);
  m.run();
  expect(m.cpu.registers.get32(State.fsw)).toBe(loaded);
});

test('FXSAVE and FXRSTOR keep x87, SSE and MXCSR; a reserved bit of MXCSR is #GP(0) (SDM Vol. 1, 10.5.1)', () => {
  const m = new TestMachine().protected({ long: true }).code([0x0f, 0xae, 0x03, 0x0f, 0xae, 0x0b, 0xf4]).setGpr(3, 0x8000); // fxsave [rbx]; fxrstor [rbx]
  const { registers } = m.cpu;
  registers.set32(State.cr4, 0x220);
  m.cpu.updateMode();
  registers.set64(State.ymm + 15 * 32, 0x1122334455667788n);
  registers.set32(State.fsw, 3 << 11);
  registers.set64(State.fpr + 3 * 16, 0xdeadn); // ST0
  m.cpu.run(1);
  expect(m.physical.read64(0x8000 + 160 + 15 * 16)).toBe(0x1122334455667788n);
  expect(m.physical.read64(0x8000 + 32)).toBe(0xdeadn);
  registers.set64(State.fpr + 3 * 16, 0n);
  m.run();
  expect(registers.get64(State.fpr + 3 * 16)).toBe(0xdeadn);
  m.physical.write32(0x8000 + 24, 0x10000);
  m.cpu.activity = 0;
  m.code([0x0f, 0xae, 0x0b]).run();
  expect(m.handled).toBe(13);
  expect(m.gpr(4)).toBe(STACK - 48);
});
