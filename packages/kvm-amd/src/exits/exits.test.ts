import { asm16, asm32, asm64 } from '@minusone/asm';
import { VendorExitKind as Kind, type VendorExit } from '@minusone/kvm';
import { Access } from '@minusone/mmu';
import { amd as amdModel, Gpr, instructionTable } from '@minusone/x86';
import { describe, expect, test } from 'vitest';
import { amd } from '../amd.ts';
import { CODE, VendorMachine } from '../testing/vendor-machine.ts';

const real = asm16.with({ origin: CODE });
const flat = asm32.with({ origin: CODE });
/** With the extension's own instructions. */
const { forms } = instructionTable.extended(amd().createExtension().instructions);
const long = asm64.with({ origin: CODE, forms });
const machine = (): VendorMachine => new VendorMachine(amd({ model: amdModel.with('MONITOR') }));

type Case = readonly [what: string, code: Uint8Array, exit: Partial<VendorExit>, registers?: Readonly<Record<number, number>>];

const cases: readonly Case[] = [
  [
    'IN AL,imm8 (15.10)',
    real`in al, 0x71`,
    { kind: Kind.IO, port: 0x71, size: 1, isInput: true, isString: false, isRep: false, instructionLength: 2 },
  ],
  ['OUT DX,EAX', real`out dx, eax`, { kind: Kind.IO, port: 0x1234, size: 4, isInput: false, instructionLength: 2 }, { [Gpr.RDX]: 0x1234 }],
  ['INSW', real`insw`, { kind: Kind.IO, port: 0x80, size: 2, isInput: true, isString: true, isRep: false }, { [Gpr.RDX]: 0x80 }],
  [
    'REP OUTSB',
    real`rep outsb`,
    { kind: Kind.IO, port: 0x80, size: 1, isInput: false, isString: true, isRep: true },
    { [Gpr.RDX]: 0x80, [Gpr.RCX]: 2 },
  ],
  ['CPUID (15.9)', real`cpuid`, { kind: Kind.CPUID, instructionLength: 2 }],
  ['HLT', real`hlt`, { kind: Kind.HLT, instructionLength: 1 }],
  ['PAUSE', real`pause`, { kind: Kind.PAUSE, instructionLength: 2 }],
  ['RDMSR of one that the map names (15.11)', real`rdmsr`, { kind: Kind.RDMSR, instructionLength: 2 }, { [Gpr.RCX]: 0x1b }],
  ['WRMSR outside the ranges of the map', real`wrmsr`, { kind: Kind.WRMSR, instructionLength: 2 }, { [Gpr.RCX]: 0x4b564d00 }],
  ['RDMSR of EFER, whose SVME is not for the guest', real`rdmsr`, { kind: Kind.RDMSR }, { [Gpr.RCX]: 0xc0000080 | 0 }],
  ['INVD', real`invd`, { kind: Kind.CACHE_CONTROL, instructionLength: 2 }],
  ['WBINVD', real`wbinvd`, { kind: Kind.CACHE_CONTROL, instructionLength: 2 }],
  ['RSM', real`rsm`, { kind: Kind.RSM }],
  ['RDPMC', real`rdpmc`, { kind: Kind.RDPMC, instructionLength: 2 }],
  ['VMMCALL', long`vmmcall`, { kind: Kind.HYPERCALL, instructionLength: 3 }],
  ['VMRUN of a guest that is offered no SVM', long`vmrun`, { kind: Kind.EXTENSION_INSTRUCTION }],
  ['STGI', long`stgi`, { kind: Kind.EXTENSION_INSTRUCTION, instructionLength: 3 }],
  ['MONITOR', flat`monitor`, { kind: Kind.MONITOR, instructionLength: 3 }, { [Gpr.RAX]: 0x2000 }],
  ['MWAIT', flat`mwait`, { kind: Kind.MWAIT, instructionLength: 3 }],
];

function enter(code: Uint8Array, bits: 16 | 32 | 64, registers: Readonly<Record<number, number>> = {}): VendorMachine {
  const guest = machine();
  if (bits === 16) guest.real(code);
  else if (bits === 32) guest.flat(code);
  else guest.long(code);
  for (const [index, value] of Object.entries(registers)) guest.setGpr(Number(index), value >>> 0);
  return guest.run();
}

describe('exits and what EXITINFO1, EXITINFO2 and nRIP say of them (APM Vol. 2, Appendix C)', () => {
  test.each(cases.map(([what, code, exit, registers = {}]) => ({ what, code, exit, registers })))(
    '$what',
    ({ what, code, exit, registers }) => {
      const bits = what.startsWith('VMMCALL') || what.startsWith('VMRUN') || what.startsWith('STGI') ? 64 : what.startsWith('M') ? 32 : 16;
      const guest = enter(code, bits, registers);
      expect(guest.vcpu.exit).toMatchObject(exit);
      // A fault-like exit: RIP stands at the instruction.
      expect(guest.rip).toBe(CODE);
      expect(guest.vcpu.isInGuest).toBe(false);
    },
  );
});

test('a guest touches its own control registers, flags and time without an exit', () => {
  const guest = machine().long(long`
    mov rax, cr0
    mov cr0, rax
    mov rax, cr4
    or rax, 0x80
    mov cr4, rax
    mov rax, cr3
    mov cr3, rax
    mov rax, 5
    mov cr8, rax
    mov rbx, cr8
    mov rcx, 0x5a
    mov cr2, rcx
    invlpg [0x2000]
    rdtsc
    cli
    pushfq
    popfq
    hlt`);
  guest.run();
  expect(guest.vcpu.exit.kind).toBe(Kind.HLT);
  expect(guest.vcpu.exits).toEqual({ HLT: 1 });
  expect(guest.vcpu.cr4()).toBe(0xa0);
  expect(guest.gpr(Gpr.RBX)).toBe(5);
  expect(guest.vcpu.taskPriority()).toBe(5);
});

test("MSRs that VMLOAD and VMSAVE switch are the guest's own (15.5.2): no exit, and they stay in the processor", () => {
  const guest = machine().long(long`
    mov ecx, 0xc0000102
    mov eax, 0x1000
    xor edx, edx
    wrmsr
    swapgs
    mov ecx, 0xc0000082
    mov eax, 0x2000
    wrmsr
    hlt`);
  guest.run();
  expect(guest.vcpu.exits).toEqual({ HLT: 1 });
  expect(guest.vcpu.segment(5, { selector: 0, base: 0n, limit: 0, attributes: 0 }).base).toBe(0x1000n);
  expect(guest.cpu.msrs.read(0xc0000082)).toBe(0x2000n);
});

test('setMsrIntercept lets an MSR through, and takes it back', () => {
  const code = real`
    mov ecx, 0x277
    rdmsr
    hlt`;
  const guest = machine().real(code);
  guest.vcpu.setMsrIntercept(0x277, false, true);
  guest.run();
  expect(guest.vcpu.exit.kind).toBe(Kind.HLT);
  expect(guest.gpr(Gpr.RAX)).toBe(0x0007_0406);
  guest.vcpu.setMsrIntercept(0x277, true, true);
  guest.vcpu.setRip(CODE, 0);
  guest.run();
  expect(guest.vcpu.exit.kind).toBe(Kind.RDMSR);
});

test('skipInstruction goes to the next RIP and ends the interrupt shadow (15.7.1, 15.21.5)', () => {
  const guest = machine().real(real`
    mov ss, ax
    cpuid
    hlt`);
  guest.vcpu.setRflags(0x202);
  guest.run();
  expect(guest.vcpu.exit.kind).toBe(Kind.CPUID);
  expect(guest.vcpu.interruptShadow()).toBe(1);
  expect(guest.vcpu.interruptAllowed()).toBe(false);
  guest.vcpu.skipInstruction();
  expect(guest.rip).toBe(CODE + 4);
  expect(guest.vcpu.interruptAllowed()).toBe(true);
  expect(guest.run().vcpu.exit.kind).toBe(Kind.HLT);
});

describe('nested page faults (15.25.6)', () => {
  test('an address without a page: gpa and access', () => {
    for (const [code, access] of [
      [long`mov [0x50008], eax`, Access.WRITE],
      [long`mov eax, [0x50008]`, Access.READ],
    ] as const) {
      const guest = machine().long(code).run();
      expect(guest.vcpu.exit).toMatchObject({ kind: Kind.SECOND_STAGE, gpa: 0x50008, access, onTable: false });
      expect(guest.rip).toBe(CODE);
    }
  });

  test('a fetch', () => {
    const guest = machine().long(long`jmp 0x50000`).run();
    expect(guest.vcpu.exit).toMatchObject({ kind: Kind.SECOND_STAGE, gpa: 0x50000, access: Access.EXECUTE });
    expect(guest.rip).toBe(0x50000);
  });

  test('a page that may only be read, and one that may not be executed', () => {
    const guest = machine().long(long`
      mov eax, [0x5000]
      mov [0x5004], eax
      hlt`);
    guest.map(0x5000, guest.guest + 0x5000, false, true).run();
    expect(guest.vcpu.exit).toMatchObject({ kind: Kind.SECOND_STAGE, gpa: 0x5004, access: Access.WRITE });
    // KVM gives the right back, flushes, and the instruction runs again.
    guest.map(0x5000, guest.guest + 0x5000, true, false);
    guest.vcpu.flushTlb();
    expect(guest.run().vcpu.exit.kind).toBe(Kind.HLT);
    guest.load(CODE, long`jmp 0x5000`);
    guest.vcpu.setRip(CODE, 0);
    guest.run();
    expect(guest.vcpu.exit).toMatchObject({ kind: Kind.SECOND_STAGE, gpa: 0x5000, access: Access.EXECUTE });
  });

  test("a guest's page table without a page behind it", () => {
    const guest = machine().long(long`mov eax, [0x40000000]`);
    guest.write64(0x1_1008, 0x6_0007n).run();
    expect(guest.vcpu.exit).toMatchObject({ kind: Kind.SECOND_STAGE, gpa: 0x6_0000, onTable: true });
  });

  test('a reserved bit in a nested table is a misconfiguration', () => {
    const guest = machine().real(real`mov [0x5000], al`);
    guest.map(0x5000, guest.guest + 0x5000, true, true);
    // Bits 51:40 are beyond the model's 40 physical bits.
    guest.map(0x5000, guest.guest + 0x5000 + 2 ** 45, true, true).run();
    expect(guest.vcpu.exit).toMatchObject({ kind: Kind.SECOND_STAGE_MISCONFIGURATION, gpa: 0x5000 });
  });
});

test('shutdown: a triple fault (15.14.3)', () => {
  const guest = machine().real(real`int3`);
  guest.vcpu.setIdtr({ base: 0n, limit: 0 });
  expect(guest.run().vcpu.exit.kind).toBe(Kind.TRIPLE_FAULT);
});

test('a task switch says where it comes from (15.14.1)', () => {
  const guest = machine().flat(flat`jmp 0x18:0`);
  guest.write64(0x2018, 0x0000_8900_4000_0067n).run();
  expect(guest.vcpu.exit).toMatchObject({ kind: Kind.TASK_SWITCH, selector: 0x18, taskSource: 'jmp', hasErrorCode: false });
});

test('#AC and #MC exit, others as asked: vector, error code, address', () => {
  const guest = machine().long(long`mov eax, [0x40000000]`);
  guest.vcpu.setExceptionIntercept(14, true);
  guest.run();
  expect(guest.vcpu.exit).toMatchObject({ kind: Kind.EXCEPTION, vector: 14, errorCode: 0, hasErrorCode: true, linearLow: 0x4000_0000 });
  expect(guest.rip).toBe(CODE);
});

test('HLT without its intercept leaves the guest in, halted', () => {
  const guest = machine().real(real`hlt`);
  guest.vcpu.setIdleExits({ hlt: false, pause: true, mwait: true });
  expect(guest.vcpu.enter(100)).toBe(false);
  expect(guest.vcpu.isInGuest).toBe(true);
  guest.vcpu.leave();
  expect(guest.vcpu.exit.kind).toBe(Kind.INTERRUPT);
  expect(guest.rip).toBe(CODE + 1);
});

describe('instructions used up', () => {
  test('the guest is still in, and leave() brings it out by a physical interrupt (15.13.1), whatever its RFLAGS.IF', () => {
    const guest = machine().real(real`
      here: inc eax
      jmp here`);
    expect(guest.vcpu.enter(1000)).toBe(false);
    expect(guest.vcpu.isInGuest).toBe(true);
    expect(guest.vcpu.enter(1000)).toBe(false);
    guest.vcpu.leave();
    expect(guest.vcpu.isInGuest).toBe(false);
    expect(guest.vcpu.exit.kind).toBe(Kind.INTERRUPT);
    expect(guest.gpr(Gpr.RAX)).toBe(1000);
    expect(guest.vcpu.exits.INTR).toBe(1);
    expect(guest.vcpu.enter(10)).toBe(false);
    guest.vcpu.leave();
    expect(guest.gpr(Gpr.RAX)).toBe(1005);
  });
});
