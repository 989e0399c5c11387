import { asm16, asm64 } from '@minusone/asm';
import { VendorExitKind as Kind, type VendorEvent } from '@minusone/kvm';
import { Gpr } from '@minusone/x86';
import { describe, expect, test } from 'vitest';
import { CODE, STACK, VendorMachine } from '../../../../tests/kvm/vendors/vendor-machine.ts';
import { intel } from '../intel.ts';

// What holds on either vendor's processors is in tests/kvm/vendors.
const real = asm16.with({ origin: CODE });
const long = asm64.with({ origin: CODE });
const machine = (): VendorMachine => new VendorMachine(intel());
const HANDLER = 0x6000;
const IF = 0x202;
const IF_AND_TF = 0x302;
const event = (type: VendorEvent['type'], vector: number, instructionLength = 0): VendorEvent => ({
  type,
  vector,
  errorCode: undefined,
  instructionLength,
});

test('INT n, INT3 and INT1 of the guest come back with their length, and are delivered from there (SDM Vol. 3C, 28.2.4)', () => {
  for (const [code, expected] of [
    [long`int 0x31`, event('software-interrupt', 0x31, 2)],
    [long`int3`, event('software-exception', 3, 1)],
    [long`int1`, event('privileged-software-exception', 1, 1)],
  ] as const) {
    const guest = machine()
      .long(code)
      .map(STACK - 0x1000, -1, true, true);
    guest.vector(expected.vector, HANDLER, 64).load(HANDLER, asm64`hlt`).run();
    expect(guest.vcpu.exit.kind).toBe(Kind.SECOND_STAGE);
    expect(guest.rip).toBe(CODE);
    expect(guest.vcpu.events.takeInterruptedEvent()).toEqual(expected);
    guest.map(STACK - 0x1000, guest.guest + STACK - 0x1000, true, true);
    guest.vcpu.events.inject(expected);
    expect(guest.run().rip).toBe(HANDLER);
    expect(guest.read32(guest.gpr(Gpr.RSP))).toBe(CODE + expected.instructionLength);
  }
});

test('an interrupt for a guest that does not take any is refused at entry (27.3.1.4), and stays to be injected', () => {
  const guest = machine().real(real`hlt`).vector(0x31, HANDLER, 16).load(HANDLER, asm16`hlt`);
  guest.vcpu.events.inject(event('interrupt', 0x31));
  expect(guest.vcpu.enter(10)).toBe(true);
  expect(guest.vcpu.exit).toMatchObject({ kind: Kind.ENTRY_FAILED, hardwareReason: 0x8000_0021 });
  expect(guest.vcpu.explainEntry()).toContain('RFLAGS.IF');
  expect(guest.vcpu.events.takeInterruptedEvent()).toBeUndefined();
  guest.vcpu.debug.setRflags(IF);
  expect(guest.run().rip).toBe(HANDLER);
});

describe('blocking of NMIs (virtual NMIs: SDM Vol. 3C, 25.4.2, 26.3 "IRET")', () => {
  const withHandler = (handler: Uint8Array): VendorMachine => {
    const guest = machine().long(long`hlt`).vector(2, HANDLER, 64).load(HANDLER, handler);
    guest.vcpu.events.inject(event('nmi', 2));
    return guest;
  };

  test('begins with the injection and ends with IRET, which does not exit', () => {
    const guest = withHandler(asm64`iretq`);
    expect(guest.vcpu.nmis.masked).toBe(true);
    expect(guest.run().vcpu.exits).toEqual({ HLT: 1 });
    expect(guest.rip).toBe(CODE);
    expect(guest.vcpu.nmis.masked).toBe(false);
  });

  test('an NMI that is injected while KVM has set the mask already goes in (27.3.1.5 wants no blocking then)', () => {
    const guest = machine().long(long`hlt`).vector(2, HANDLER, 64).load(HANDLER, asm64`hlt`);
    guest.vcpu.nmis.set(true);
    guest.vcpu.events.inject(event('nmi', 2));
    expect(guest.run().rip).toBe(HANDLER);
    expect(guest.vcpu.nmis.masked).toBe(true);
  });

  test('holds on where IRET faulted in the second stage after it had ended it (28.2.1, bit 12)', () => {
    const guest = withHandler(asm64`
      mov rsp, 0x9ff0
      iretq`);
    guest.map(0x9000, -1, true, true).run();
    expect(guest.vcpu.exit).toMatchObject({ kind: Kind.SECOND_STAGE, gpa: 0x9ff0 });
    expect(guest.vcpu.nmis.masked).toBe(true);
  });

  test('an NMI that did not reach its handler blocks none', () => {
    const guest = withHandler(asm64`hlt`);
    guest.map(STACK - 0x1000, -1, true, true).run();
    expect(guest.vcpu.exit.kind).toBe(Kind.SECOND_STAGE);
    expect(guest.vcpu.events.takeInterruptedEvent()).toEqual(event('nmi', 2));
    expect(guest.vcpu.nmis.masked).toBe(false);
  });
});

test('under the shadow of an STI the NMI window is one instruction away, even if that is a CLI', () => {
  const guest = machine().real(real`
    cli
    nop
    hlt`);
  guest.vcpu.debug.setRflags(IF);
  guest.vcpu.events.setShadow(1);
  guest.vcpu.nmis.setWindow(true);
  expect(guest.run().vcpu.exit.kind).toBe(Kind.NMI_WINDOW);
  expect(guest.rip).toBe(CODE + 1);
  expect(guest.vcpu.events.nmiAllowed()).toBe(true);
  guest.vcpu.nmis.setWindow(false);
  expect(guest.run().vcpu.exit.kind).toBe(Kind.HLT);
});

test('the trap of a guest that single-steps is pending in a shadow, as entry checks (27.3.1.5), and comes after the instruction', () => {
  for (const shadow of [1, 2] as const) {
    const guest = machine().real(real`
      nop
      nop
      hlt`);
    guest.vector(1, HANDLER, 16).load(HANDLER, asm16`hlt`);
    guest.vcpu.debug.setRflags(IF_AND_TF);
    guest.vcpu.events.setShadow(shadow);
    guest.run();
    expect(guest.vcpu.exit.kind).toBe(Kind.HLT);
    expect(guest.rip).toBe(HANDLER);
  }
});

test("a debugger's single step takes no notice of shadows", () => {
  const guest = machine().real(real`
    mov ss, ax
    nop
    hlt`);
  guest.vcpu.debug.control({ interceptDebug: true, interceptBreakpoint: false, singleStep: true, breakpoints: undefined });
  guest.vcpu.events.setShadow(1);
  guest.run();
  expect(guest.vcpu.exit).toMatchObject({ kind: Kind.EXCEPTION, vector: 1, debugBits: 0x4000 });
});

test('what is injected ends a HLT that did not exit', () => {
  const guest = machine().real(real`
    hlt
    nop`);
  guest.vector(6, HANDLER, 16).load(
    HANDLER,
    asm16`
    cpuid`,
  );
  guest.vcpu.intercepts.idle({ hlt: false, pause: true, mwait: true });
  expect(guest.vcpu.enter(10)).toBe(false);
  guest.vcpu.leave();
  guest.vcpu.events.inject(event('exception', 6));
  expect(guest.run().vcpu.exit.kind).toBe(Kind.CPUID);
  expect(guest.rip).toBe(HANDLER);
});
