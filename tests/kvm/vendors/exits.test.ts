import { asm16, asm32, asm64 } from '@minusone/asm';
import { VendorExitKind as Kind, type VendorExit } from '@minusone/kvm';
import { Access } from '@minusone/mmu';
import { Gpr } from '@minusone/x86';
import { describe, expect, test } from 'vitest';
import { onEachVendor } from './each-vendor.ts';
import { CODE, type VendorMachine } from './vendor-machine.ts';

const real = asm16.with({ origin: CODE });
const flat = asm32.with({ origin: CODE });
const long = asm64.with({ origin: CODE });

type Case = readonly [what: string, code: Uint8Array, exit: Partial<VendorExit>, registers?: Readonly<Record<number, number>>];

const cases: readonly Case[] = [
  [
    'IN AL,imm8',
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
  ['CPUID', real`cpuid`, { kind: Kind.CPUID, instructionLength: 2 }],
  ['HLT', real`hlt`, { kind: Kind.HLT, instructionLength: 1 }],
  ['PAUSE', real`pause`, { kind: Kind.PAUSE, instructionLength: 2 }],
  ['RDMSR of one that the bitmap names', real`rdmsr`, { kind: Kind.RDMSR, instructionLength: 2 }, { [Gpr.RCX]: 0x1b }],
  ['WRMSR outside the ranges of the bitmap', real`wrmsr`, { kind: Kind.WRMSR, instructionLength: 2 }, { [Gpr.RCX]: 0x4b564d00 }],
  ['RDMSR of EFER', real`rdmsr`, { kind: Kind.RDMSR }, { [Gpr.RCX]: 0xc0000080 | 0 }],
  ['INVD', real`invd`, { kind: Kind.CACHE_CONTROL, instructionLength: 2 }],
  ['WBINVD', real`wbinvd`, { kind: Kind.CACHE_CONTROL, instructionLength: 2 }],
  ['RDPMC', real`rdpmc`, { kind: Kind.RDPMC, instructionLength: 2 }],
  ['MONITOR', flat`monitor`, { kind: Kind.MONITOR, instructionLength: 3 }, { [Gpr.RAX]: 0x2000 }],
  ['MWAIT', flat`mwait`, { kind: Kind.MWAIT, instructionLength: 3 }],
];

onEachVendor((machine) => {
  function enter(code: Uint8Array, bits: 16 | 32, registers: Readonly<Record<number, number>> = {}): VendorMachine {
    const guest = machine();
    if (bits === 16) guest.real(code);
    else guest.flat(code);
    for (const [index, value] of Object.entries(registers)) guest.setGpr(Number(index), value >>> 0);
    return guest.run();
  }

  describe('exits by instructions, and what is said of them (SDM Vol. 3C, 26.1; APM Vol. 2 15.9)', () => {
    test.each(cases.map((row) => [row[0], row] as const))('%s', (what, [, code, exit, registers]) => {
      const guest = enter(code, what.startsWith('M') ? 32 : 16, registers);
      expect(guest.vcpu.exit).toMatchObject(exit);
      // A fault-like exit: RIP stands at the instruction.
      expect(guest.rip).toBe(CODE);
      expect(guest.vcpu.isInGuest).toBe(false);
    });
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
    expect(guest.vcpu.controlRegisters.cr4()).toBe(0xa0);
    expect(guest.gpr(Gpr.RBX)).toBe(5);
    expect(guest.vcpu.priority.get()).toBe(5);
  });

  test("page tables are the guest's own: its page faults, loads of CR3 and INVLPG exit for nothing (SDM Vol. 3C, 29.3; APM Vol. 2 15.25)", () => {
    const guest = machine().long(long`
      mov rax, cr3
      mov ecx, 50
    again:
      mov cr3, rax
      mov ebx, [0x40000000]
      mov dword [0x11008], 0
      invlpg [0x40000000]
      dec ecx
      jnz again
      hlt`);
    // The second GiB of the guest's directory is there only after its handler has put it there, and no longer behind INVLPG.
    guest.vector(14, 0x6000, 64).load(
      0x6000,
      asm64`
        mov dword [0x11008], 0x12007
        inc rsi
        add rsp, 8
        iretq`,
    );
    guest.write64(0, 0x5a5an).run(10_000);
    expect(guest.vcpu.exit.kind).toBe(Kind.HLT);
    expect([guest.gpr(Gpr.RSI), guest.gpr(Gpr.RBX)]).toEqual([50, 0x5a5a]);
    expect(guest.vcpu.exits).toEqual({ HLT: 1 });
  });

  test("system-call and segment-base MSRs are the guest's own: no exit", () => {
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
    expect(guest.vcpu.state.segment(5, { selector: 0, base: 0n, limit: 0, attributes: 0 }).base).toBe(0x1000n);
    expect(guest.cpu.msrs.read(0xc0000082)).toBe(0x2000n);
  });

  test('setMsrIntercept lets an MSR through, and takes it back', () => {
    const code = real`
    mov ecx, 0x277
    rdmsr
    hlt`;
    const guest = machine().real(code);
    guest.vcpu.msrIntercepts.set(0x277, false, true);
    guest.run();
    expect(guest.vcpu.exit.kind).toBe(Kind.HLT);
    expect(guest.gpr(Gpr.RAX)).toBe(0x0007_0406);
    guest.vcpu.msrIntercepts.set(0x277, true, true);
    guest.vcpu.state.setRip(CODE, 0);
    guest.run();
    expect(guest.vcpu.exit.kind).toBe(Kind.RDMSR);
  });

  test('skipInstruction goes behind the instruction and ends the interrupt shadow', () => {
    const guest = machine().real(real`
    mov ss, ax
    cpuid
    hlt`);
    guest.vcpu.debug.setRflags(0x202);
    guest.run();
    expect(guest.vcpu.exit.kind).toBe(Kind.CPUID);
    expect(guest.vcpu.events.shadow()).not.toBe(0);
    expect(guest.vcpu.events.interruptAllowed()).toBe(false);
    guest.vcpu.skipInstruction();
    expect(guest.rip).toBe(CODE + 4);
    expect(guest.vcpu.events.interruptAllowed()).toBe(true);
    expect(guest.run().vcpu.exit.kind).toBe(Kind.HLT);
  });

  describe('accesses that the second stage refuses (SDM Vol. 3C, 29.3.3; APM Vol. 2 15.25.6)', () => {
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
      guest.vcpu.state.setRip(CODE, 0);
      guest.run();
      expect(guest.vcpu.exit).toMatchObject({ kind: Kind.SECOND_STAGE, gpa: 0x5000, access: Access.EXECUTE });
    });

    test("a guest's page table without a page behind it", () => {
      const guest = machine().long(long`mov eax, [0x40000000]`);
      guest.write64(0x1_1008, 0x6_0007n).run();
      expect(guest.vcpu.exit).toMatchObject({ kind: Kind.SECOND_STAGE, gpa: 0x6_0000, onTable: true });
    });

    test('a reserved bit in a second-stage table is a misconfiguration', () => {
      const guest = machine().real(real`mov [0x5000], al`);
      guest.map(0x5000, guest.guest + 0x5000, true, true);
      // An address beyond the model's physical bits.
      guest.map(0x5000, guest.guest + 0x5000 + 2 ** 45, true, true).run();
      expect(guest.vcpu.exit).toMatchObject({ kind: Kind.SECOND_STAGE_MISCONFIGURATION, gpa: 0x5000 });
    });
  });

  test('a triple fault (SDM Vol. 3C, 26.2; APM Vol. 2 15.14.3)', () => {
    const guest = machine().real(real`int3`);
    guest.vcpu.state.setIdtr({ base: 0n, limit: 0 });
    expect(guest.run().vcpu.exit.kind).toBe(Kind.TRIPLE_FAULT);
  });

  test('a task switch says where it comes from (SDM Vol. 3C, Table 28-2; APM Vol. 2 15.14.1)', () => {
    const guest = machine().flat(flat`jmp 0x18:0`);
    guest.write64(0x2018, 0x0000_8900_4000_0067n).run();
    expect(guest.vcpu.exit).toMatchObject({ kind: Kind.TASK_SWITCH, selector: 0x18, taskSource: 'jmp', hasErrorCode: false });
  });

  test('#AC and #MC exit, others as asked: vector, error code, address', () => {
    const guest = machine().long(long`mov eax, [0x40000000]`);
    guest.vcpu.intercepts.exception(14, true);
    guest.run();
    expect(guest.vcpu.exit).toMatchObject({ kind: Kind.EXCEPTION, vector: 14, errorCode: 0, hasErrorCode: true, linearLow: 0x4000_0000 });
    expect(guest.rip).toBe(CODE);
  });

  test('HLT that does not exit leaves the guest in, halted', () => {
    const guest = machine().real(real`hlt`);
    guest.vcpu.intercepts.idle({ hlt: false, pause: true, mwait: true });
    expect(guest.vcpu.enter(100)).toBe(false);
    expect(guest.vcpu.isInGuest).toBe(true);
    guest.vcpu.leave();
    expect(guest.vcpu.exit.kind).toBe(Kind.INTERRUPT);
    expect(guest.rip).toBe(CODE + 1);
  });

  describe('instructions used up', () => {
    test('the guest is still in, and leave() brings it out by a physical interrupt, whatever its RFLAGS.IF', () => {
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
      expect(guest.vcpu.enter(10)).toBe(false);
      guest.vcpu.leave();
      expect(guest.gpr(Gpr.RAX)).toBe(1005);
    });
  });
});
