import { asm16, asm32, asm64 } from '@minusone/asm';
import { VendorExitKind as Kind, type SegmentState } from '@minusone/kvm';
import { VmxCapabilities, vmxCapabilities } from '@minusone/vtx';
import { amd, Cr0, Cr4, Efer, Gpr, Segment } from '@minusone/x86';
import { expect, test } from 'vitest';
import { CODE, PAGE_TABLES, VendorMachine } from '../../../../tests/kvm/vendors/vendor-machine.ts';
import { UnsupportedProcessorError } from '../errors.ts';
import { intel } from '../intel.ts';

// What holds on either vendor's processors is in tests/kvm/vendors.
const machine = (): VendorMachine => new VendorMachine(intel());
const empty = (): SegmentState => ({ selector: 0, base: 0n, limit: 0, attributes: 0 });

test('CS after reset is an accessed code segment (SDM Vol. 3A, Table 9-1)', () => {
  expect(machine().vcpu.state.segment(Segment.CS, empty()).attributes).toBe(0x9b);
});

test('a code or data segment that was set as not accessed is accessed: entry wants it so (SDM Vol. 3C, 27.3.1.2), as KVM does', () => {
  const { vcpu } = machine();
  vcpu.state.setSegment(Segment.DS, { selector: 0x10, base: 0n, limit: 0xffff_ffff, attributes: 0xc092 });
  expect(vcpu.state.segment(Segment.DS, empty()).attributes).toBe(0xc093);
  vcpu.state.setSegment(Segment.LDTR, { selector: 0x10, base: 0n, limit: 0xffff, attributes: 0x82 });
  expect(vcpu.state.segment(Segment.LDTR, empty()).attributes).toBe(0x82);
});

test('the host finds its own control registers, the guest its own', () => {
  const guest = machine().long(asm64.with({ origin: CODE })`
    mov rax, cr0
    mov rbx, cr4
    mov rcx, cr3
    hlt`);
  guest.run();
  expect(guest.gpr(Gpr.RAX)).toBe((Cr0.PE | Cr0.PG | Cr0.ET | Cr0.NE) >>> 0);
  expect([guest.gpr(Gpr.RBX), guest.gpr(Gpr.RCX)]).toEqual([Cr4.PAE, PAGE_TABLES]);
  expect(guest.cpu.isLongMode).toBe(true);
  expect(guest.cpu.registers.rip).not.toBe(BigInt(CODE));
});

test("CR0.CD and NW are the guest's to see, and survive the guest's run", () => {
  const guest = machine().real(asm16.with({ origin: CODE })`
    mov eax, cr0
    hlt`);
  guest.vcpu.controlRegisters.setCr0(Cr0.ET | Cr0.CD | Cr0.NW);
  guest.run();
  expect(guest.gpr(Gpr.RAX) >>> 0).toBe(0x6000_0010);
  expect(guest.vcpu.controlRegisters.cr0() >>> 0).toBe(0x6000_0010);
});

test('MSRs of the VMCS: SYSENTER, DEBUGCTL, PAT, FS.base, GS.base; no others', () => {
  const guest = machine();
  const { vcpu } = guest;
  for (const index of [0x174, 0x175, 0x176, 0x1d9, 0x277, 0xc000_0100, 0xc000_0101]) {
    expect(vcpu.state.setMsr(index, 1n)).toBe(true);
    expect(vcpu.state.msr(index)).toBe(1n);
  }
  expect(vcpu.state.segment(Segment.GS, empty()).base).toBe(1n);
  expect([vcpu.state.setMsr(0xc000_0082, 1n), vcpu.state.msr(0xc000_0082)]).toEqual([false, undefined]);
  vcpu.reset(false);
  expect([vcpu.state.msr(0x174), vcpu.state.msr(0x1d9), vcpu.state.msr(0x277)]).toEqual([0n, 0n, 0x0007_0406_0007_0406n]);
});

test('PDPTEs of a guest that turns PAE paging on by itself are in the VMCS after its exit (28.3.4), and count at entry (27.3.2.4)', () => {
  const guest = machine().flat(asm32.with({ origin: CODE })`
    mov eax, 0x10020
    mov cr3, eax
    mov eax, 0x20
    mov cr4, eax
    mov eax, cr0
    or eax, 0x80000000
    mov cr0, eax
    cpuid
    mov ebx, [0x40000000]
    hlt`);
  guest.write64(0x1_0020, 0x1_2001n).write64(0x1_2000, 0x87n);
  guest.run();
  expect(guest.vcpu.exit.kind).toBe(Kind.CPUID);
  expect(guest.vcpu.exits.CR_ACCESS).toBeUndefined();
  expect(guest.vcpu.state.pdptes()).toEqual([0x1_2001n, 0n, 0n, 0n]);
  // Another page directory for the second GiB: the same page again.
  guest.vcpu.state.setPdptes([0x1_2001n, 0x1_2001n, 0n, 0n]);
  guest.vcpu.flushGuestTlb();
  guest.write64(0, 0x5a5an);
  guest.vcpu.skipInstruction();
  expect(guest.run().vcpu.exit.kind).toBe(Kind.HLT);
  expect(guest.gpr(Gpr.RBX)).toBe(0x5a5a);
});

test('"IA-32e mode guest" follows EFER.LMA, set from outside or by the guest', () => {
  const guest = machine().long(asm64.with({ origin: CODE })`hlt`);
  guest.run();
  expect(guest.vcpu.controlRegisters.efer()).toBe(Efer.LME | Efer.LMA | Efer.SCE);
  guest.vcpu.controlRegisters.setEfer(Efer.LME | Efer.SCE);
  expect(guest.vcpu.enter(10)).toBe(true);
  expect(guest.vcpu.exit).toMatchObject({ kind: Kind.ENTRY_FAILED, hardwareReason: 0x8000_0021 });
  expect(guest.vcpu.explainEntry()).toContain('LMA');
});

test('an entry that fails at the controls: the VM-instruction error, with its explanation', () => {
  const guest = machine().long(asm64.with({ origin: CODE })`hlt`);
  // Above the priority: KVM never asks for that.
  guest.vcpu.priority.set(2, 5);
  expect(guest.vcpu.enter(10)).toBe(true);
  expect(guest.vcpu.exit).toMatchObject({ kind: Kind.ENTRY_FAILED, hardwareReason: 7 });
  expect(guest.vcpu.explainEntry()).toContain('TPR_THRESHOLD');
  guest.vcpu.priority.set(5, 5);
  expect(guest.run().vcpu.exit.kind).toBe(Kind.HLT);
});

test('the vendor module is for processors with what it needs', () => {
  expect(() => new VendorMachine(intel({ capabilities: 'vmx:minimal' }))).toThrow(UnsupportedProcessorError);
  expect(() => new VendorMachine(intel({ capabilities: 'vmx:minimal' }))).toThrow(/"Enable EPT", "Unrestricted guest"/);
  expect(() => intel({ model: amd })).toThrow(/not Intel's/);
  expect(() => intel({ model: 'z80' })).toThrow(/no CPU model "z80"/);
});

test('without VPIDs the guest runs all the same', () => {
  const full = vmxCapabilities('vmx:max');
  const { IA32_VMX_PROCBASED_CTLS2 = 0n } = full.msrs;
  const capabilities = new VmxCapabilities(
    { ...full.msrs, IA32_VMX_PROCBASED_CTLS2: IA32_VMX_PROCBASED_CTLS2 & ~(1n << 37n) },
    full.processor,
  );
  const guest = new VendorMachine(intel({ capabilities })).long(asm64.with({ origin: CODE })`
    mov rax, cr3
    mov cr3, rax
    hlt`);
  guest.vcpu.flushGuestTlb();
  guest.vcpu.flushTlb();
  expect(guest.run().vcpu.exit.kind).toBe(Kind.HLT);
});
