import { asm16, asm64 } from '@minusone/asm';
import { VendorExitKind as Kind, type VendorExit } from '@minusone/kvm';
import { Gpr, instructionTable } from '@minusone/x86';
import { describe, expect, test } from 'vitest';
import { CODE, VendorMachine } from '../../../../tests/kvm/vendors/vendor-machine.ts';
import { amd } from '../amd.ts';

// What holds on either vendor's processors is in tests/kvm/vendors.
const real = asm16.with({ origin: CODE });
/** With the extension's own instructions. */
const { forms } = instructionTable.extended(amd().createExtension().instructions);
const long = asm64.with({ origin: CODE, forms });
const machine = (): VendorMachine => new VendorMachine(amd());

describe('exits of AMD-V alone (APM Vol. 2, Appendix C)', () => {
  test.each<readonly [what: string, code: Uint8Array, exit: Partial<VendorExit>]>([
    ['VMMCALL', long`vmmcall`, { kind: Kind.HYPERCALL, instructionLength: 3 }],
    ['VMRUN of a guest that is offered no SVM', long`vmrun`, { kind: Kind.EXTENSION_INSTRUCTION }],
    ['STGI', long`stgi`, { kind: Kind.EXTENSION_INSTRUCTION, instructionLength: 3 }],
  ])('%s', (_what, code, exit) => {
    const guest = machine().long(code).run();
    expect(guest.vcpu.exit).toMatchObject(exit);
    expect(guest.rip).toBe(CODE);
  });

  test('RSM', () => {
    expect(machine().real(real`rsm`).run().vcpu.exit.kind).toBe(Kind.RSM);
  });
});

test('exits are counted by the names of the manual: leave() is an INTR (15.13.1)', () => {
  const guest = machine().real(real`
    here: inc eax
    jmp here`);
  expect(guest.vcpu.enter(1000)).toBe(false);
  guest.vcpu.leave();
  expect(guest.vcpu.exits).toEqual({ INTR: 1 });
  expect(guest.gpr(Gpr.RAX)).toBe(500);
});

test('a VMCB knows a shadow, not its kind (15.21.5)', () => {
  const guest = machine().real(real`
    mov ss, ax
    cpuid`);
  expect(guest.run().vcpu.events.shadow()).toBe(1);
});
