import { asm16, asm32, asm64 } from '@minusone/asm';
import { VendorExitKind as Kind, type VendorExit } from '@minusone/kvm';
import { Access } from '@minusone/mmu';
import { Cr4, Gpr, instructionTable, intel as intelModel } from '@minusone/x86';
import { describe, expect, test } from 'vitest';
import { CODE, VendorMachine } from '../../../../tests/kvm/vendors/vendor-machine.ts';
import { intel } from '../intel.ts';

// What holds on either vendor's processors is in tests/kvm/vendors.
const real = asm16.with({ origin: CODE });
const flat = asm32.with({ origin: CODE });
/** With the extension's own instructions. */
const { forms } = instructionTable.extended(intel().createExtension().instructions);
const long = asm64.with({ origin: CODE, forms });
const machine = (): VendorMachine => new VendorMachine(intel());

describe('exits of VT-x alone (SDM Vol. 3D, Appendix C)', () => {
  test.each<readonly [what: string, code: Uint8Array, exit: Partial<VendorExit>]>([
    ['VMCALL', long`vmcall`, { kind: Kind.HYPERCALL, hardwareReason: 18, instructionLength: 3 }],
    ['VMXOFF of a guest that is offered no VMX', long`vmxoff`, { kind: Kind.EXTENSION_INSTRUCTION, instructionLength: 3 }],
    ['VMXON', long`vmxon [rbx]`, { kind: Kind.EXTENSION_INSTRUCTION, instructionLength: 4 }],
    ['VMREAD', long`vmread rax, rbx`, { kind: Kind.EXTENSION_INSTRUCTION, instructionLength: 3 }],
    ['INVEPT', long`invept rax, [rbx]`, { kind: Kind.EXTENSION_INSTRUCTION, instructionLength: 5 }],
    ['VMLAUNCH', long`vmlaunch`, { kind: Kind.EXTENSION_INSTRUCTION }],
  ])('%s', (_what, code, exit) => {
    const guest = machine().long(code).run();
    expect(guest.vcpu.exit).toMatchObject(exit);
    expect(guest.rip).toBe(CODE);
  });
});

test('XSETBV exits always (26.1.2)', () => {
  const guest = new VendorMachine(intel({ model: intelModel.with('XSAVE') })).long(long`xsetbv`);
  guest.vcpu.controlRegisters.setCr4(Cr4.PAE | Cr4.OSXSAVE);
  expect(guest.run().vcpu.exit).toMatchObject({ kind: Kind.XSETBV, hardwareReason: 55, instructionLength: 3 });
});

describe("control registers: the host's bits exit, read from the shadow (SDM Vol. 3C, 26.1.3, 26.3)", () => {
  test('CR0.CD, and CR4.VMXE, which the guest reads as 0', () => {
    for (const [code, register] of [
      [long`mov cr0, rdx`, 0],
      [long`mov cr4, rdx`, 4],
    ] as const) {
      const guest = machine().long(code);
      const { vcpu } = guest;
      guest.setGpr(
        Gpr.RDX,
        register === 0 ? BigInt((vcpu.controlRegisters.cr0() | 0x4000_0000) >>> 0) : BigInt(vcpu.controlRegisters.cr4() | 0x2000),
      );
      guest.run();
      expect(vcpu.exit).toMatchObject({ kind: Kind.CONTROL_REGISTER, register, isWrite: true, gpr: Gpr.RDX, instructionLength: 3 });
    }
    const guest = machine().long(long`
      mov rax, cr4
      hlt`);
    guest.run();
    expect(guest.gpr(Gpr.RAX)).toBe(0x20);
  });

  test('LMSW and CLTS are of their own register, and no MOV', () => {
    // All bits of CR0 that are the guest's do not exit: TS and PE among them.
    const guest = machine().flat(flat`
      clts
      mov eax, 9
      lmsw ax
      mov ebx, cr0
      hlt`);
    guest.run();
    expect(guest.vcpu.exits).toEqual({ HLT: 1 });
    expect(guest.gpr(Gpr.RBX) & 0xf).toBe(9);
  });

  test('CR0.NE is 1 in VMX operation (24.8); a guest that has it clear reads it clear', () => {
    const guest = machine().real(real`
      mov eax, cr0
      hlt`);
    guest.run();
    expect(guest.gpr(Gpr.RAX) & 0x20).toBe(0);
    expect(guest.vcpu.controlRegisters.cr0() & 0x20).toBe(0);
  });
});

describe('EPT violations (SDM Vol. 3C, Table 28-7)', () => {
  test('say the linear address, also of a guest page-table entry', () => {
    const guest = machine().long(long`mov [0x50008], eax`).run();
    expect(guest.vcpu.exit).toMatchObject({ gpa: 0x50008, access: Access.WRITE, linearValid: true, linearLow: 0x50008, linearHigh: 0 });
    const walked = machine().long(long`mov eax, [0x40000000]`);
    walked.write64(0x1_1008, 0x6_0007n).run();
    expect(walked.vcpu.exit).toMatchObject({ onTable: true, linearValid: true, linearLow: 0x4000_0000 });
  });
});

test('exits are counted by the names of the manual: leave() is an external interrupt', () => {
  const guest = machine().real(real`
    here: inc eax
    jmp here`);
  expect(guest.vcpu.enter(1000)).toBe(false);
  guest.vcpu.leave();
  expect(guest.vcpu.exits).toEqual({ EXTERNAL_INTERRUPT: 1 });
  expect(guest.gpr(Gpr.RAX)).toBe(500);
});

test('the VMCS tells the shadow of a MOV SS from that of an STI (SDM Vol. 3C, 25.4.2)', () => {
  const shadowAfter = (code: Uint8Array): number => machine().real(code).run().vcpu.events.shadow();
  expect(
    shadowAfter(real`
    mov ss, ax
    cpuid`),
  ).toBe(2);
  expect(
    shadowAfter(real`
    sti
    cpuid`),
  ).toBe(1);
  expect(
    shadowAfter(real`
    sti
    nop
    cpuid`),
  ).toBe(0);
});

test('skipInstruction goes over 4 GiB in 64-bit code only', () => {
  const guest = machine().long(long`cpuid`).run();
  guest.vcpu.state.setRip(-2, 0);
  guest.vcpu.skipInstruction();
  expect([guest.vcpu.state.ripLow(), guest.vcpu.state.ripHigh()]).toEqual([0, 1]);
  const narrow = machine().flat(flat`cpuid`).run();
  narrow.vcpu.state.setRip(-2, 0);
  narrow.vcpu.skipInstruction();
  expect([narrow.vcpu.state.ripLow(), narrow.vcpu.state.ripHigh()]).toEqual([0, 0]);
});
