import { asm64 } from '@minusone/asm';
import { VendorExitKind as Kind } from '@minusone/kvm';
import { Cr0 } from '@minusone/x86';
import { expect, test } from 'vitest';
import { VendorMachine } from '../../../../tests/kvm/vendors/vendor-machine.ts';
import { amd } from '../amd.ts';

// What holds on either vendor's processors is in tests/kvm/vendors.
const machine = (): VendorMachine => new VendorMachine(amd());

test('PDPTEs are read where CR3 says, through the nested tables (APM Vol. 2 15.25.10)', () => {
  const guest = machine();
  guest.write64(0x6020, 0x7001n).write64(0x6038, 0x9001n);
  guest.vcpu.controlRegisters.setCr3(0x6020n);
  expect(guest.vcpu.state.pdptes()).toEqual([0x7001n, 0n, 0n, 0x9001n]);
  guest.vcpu.controlRegisters.setCr3(0x70_0000n);
  expect(guest.vcpu.state.pdptes()).toEqual([0n, 0n, 0n, 0n]);
});

test('VMEXIT_INVALID is -1, and says which checks failed (APM Vol. 2 15.5.1)', () => {
  const guest = machine().long(asm64`hlt`);
  guest.vcpu.controlRegisters.setCr0((guest.vcpu.controlRegisters.cr0() & ~Cr0.CD) | Cr0.NW);
  expect(guest.vcpu.enter(10)).toBe(true);
  expect(guest.vcpu.exit.kind).toBe(Kind.ENTRY_FAILED);
  expect(guest.vcpu.exit.hardwareReason).toBe(0xffff_ffff);
  expect(guest.vcpu.explainEntry()).toMatch(/CR0/);
  guest.vcpu.controlRegisters.setCr0(guest.vcpu.controlRegisters.cr0() & ~Cr0.NW);
  expect(guest.run().vcpu.exit.kind).toBe(Kind.HLT);
});
