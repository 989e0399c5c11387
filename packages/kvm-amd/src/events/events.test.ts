import { asm16, asm64 } from '@minusone/asm';
import { VendorExitKind as Kind } from '@minusone/kvm';
import { expect, test } from 'vitest';
import { CODE, STACK, VendorMachine } from '../../../../tests/kvm/vendors/vendor-machine.ts';
import { amd } from '../amd.ts';

// What holds on either vendor's processors is in tests/kvm/vendors.
const real = asm16.with({ origin: CODE });
const long = asm64.with({ origin: CODE });
const machine = (): VendorMachine => new VendorMachine(amd());
const HANDLER = 0x6000;

test('an interrupt is injected whatever RFLAGS.IF says (APM Vol. 2 15.20)', () => {
  const guest = machine().real(real`hlt`).vector(0x31, HANDLER, 16).load(HANDLER, asm16`hlt`);
  expect(guest.vcpu.debug.rflags()).toBe(2);
  guest.vcpu.events.inject({ type: 'interrupt', vector: 0x31, errorCode: undefined, instructionLength: 0 });
  guest.run();
  expect(guest.vcpu.exit.kind).toBe(Kind.HLT);
  expect(guest.rip).toBe(HANDLER);
});

test("a guest's own INT n whose delivery an exit interrupted is not injected again: it runs again (APM Vol. 2 15.7.2)", () => {
  const guest = machine()
    .long(long`int 0x31`)
    .map(STACK - 0x1000, -1, true, true);
  guest.vector(0x31, HANDLER, 64).load(HANDLER, asm64`hlt`).run();
  expect(guest.vcpu.exit.kind).toBe(Kind.SECOND_STAGE);
  expect(guest.rip).toBe(CODE);
  expect(guest.vcpu.events.takeInterruptedEvent()).toBeUndefined();
});

test('the IRET of an NMI handler is intercepted, and no news for KVM (APM Vol. 2 15.9)', () => {
  const guest = machine().long(long`hlt`).vector(2, HANDLER, 64).load(HANDLER, asm64`iretq`);
  guest.vcpu.events.inject({ type: 'nmi', vector: 2, errorCode: undefined, instructionLength: 0 });
  expect(guest.run().vcpu.exit.kind).toBe(Kind.HLT);
  expect(guest.vcpu.exits).toEqual({ IRET: 1, HLT: 1 });
});
