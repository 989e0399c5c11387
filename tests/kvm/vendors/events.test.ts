import { asm16, asm32, asm64 } from '@minusone/asm';
import { VendorExitKind as Kind, type VendorEvent } from '@minusone/kvm';
import { Gpr, State } from '@minusone/x86';
import { describe, expect, test } from 'vitest';
import { onEachVendor } from './each-vendor.ts';
import { CODE, STACK, type VendorMachine } from './vendor-machine.ts';

const real = asm16.with({ origin: CODE });
const long = asm64.with({ origin: CODE });
const HANDLER = 0x6000;
const IF = 0x202;
const event = (type: VendorEvent['type'], vector: number, errorCode?: number, instructionLength = 0): VendorEvent => ({
  type,
  vector,
  errorCode,
  instructionLength,
});

onEachVendor((machine) => {
  describe('injection (SDM Vol. 3C, 27.6; APM Vol. 2 15.20)', () => {
    test('an interrupt goes through the vector table and returns to RIP', () => {
      const guest = machine().real(real`hlt`).vector(0x31, HANDLER, 16).load(HANDLER, asm16`hlt`);
      guest.vcpu.debug.setRflags(IF);
      guest.vcpu.events.inject(event('interrupt', 0x31));
      guest.run();
      expect(guest.vcpu.exit.kind).toBe(Kind.HLT);
      expect(guest.rip).toBe(HANDLER);
      expect(guest.read32(STACK - 6) & 0xffff).toBe(CODE);
    });

    test('an exception pushes its error code; a page fault finds CR2 where KVM put it', () => {
      const guest = machine().long(long`hlt`).vector(14, HANDLER, 64).load(HANDLER, asm64`hlt`);
      guest.cpu.registers.set64(State.cr2, 0x1234_5678n);
      guest.vcpu.events.inject(event('exception', 14, 6));
      guest.run();
      expect(guest.rip).toBe(HANDLER);
      expect(guest.read32(guest.gpr(Gpr.RSP))).toBe(6);
      expect(guest.read32(guest.gpr(Gpr.RSP) + 8)).toBe(CODE);
      expect(guest.cpu.registers.get64(State.cr2)).toBe(0x1234_5678n);
    });

    test('a software interrupt returns behind its instruction', () => {
      const guest = machine().long(long`
      int 0x40
      hlt`);
      guest.vector(0x40, HANDLER, 64).load(HANDLER, asm64`hlt`);
      guest.vcpu.events.inject(event('software-interrupt', 0x40, undefined, 2));
      guest.run();
      expect(guest.rip).toBe(HANDLER);
      expect(guest.read32(guest.gpr(Gpr.RSP))).toBe(CODE + 2);
    });

    test('INT3 given back to the guest returns behind it', () => {
      const guest = machine().long(long`
      int3
      hlt`);
      guest.vector(3, HANDLER, 64).load(HANDLER, asm64`hlt`);
      guest.vcpu.intercepts.exception(3, true);
      guest.run();
      expect(guest.vcpu.exit).toMatchObject({ kind: Kind.EXCEPTION, vector: 3 });
      expect(guest.rip).toBe(CODE);
      guest.vcpu.events.inject(event('software-exception', 3, undefined, 1));
      guest.run();
      expect(guest.rip).toBe(HANDLER);
      expect(guest.read32(guest.gpr(Gpr.RSP))).toBe(CODE + 1);
    });

    test('an injection is used up by its entry', () => {
      const guest = machine().real(real`hlt`).vector(0x31, HANDLER, 16).load(HANDLER, asm16`iret`);
      guest.vcpu.debug.setRflags(IF);
      guest.vcpu.events.inject(event('interrupt', 0x31));
      guest.run();
      expect(guest.rip).toBe(CODE);
      guest.vcpu.skipInstruction();
      guest.load(CODE + 1, asm16`hlt`);
      expect(guest.run().rip).toBe(CODE + 1);
    });
  });

  describe('an exit during delivery (SDM Vol. 3C, 28.2.4; APM Vol. 2 15.7.2)', () => {
    /** The stack's page is missing when the frame is pushed. */
    const withoutStack = (guest: VendorMachine): VendorMachine => guest.map(STACK - 0x1000, -1, true, true);

    test.each([
      event('interrupt', 0x31),
      event('nmi', 2),
      event('exception', 13, 0x18),
      event('exception', 6),
      event('software-interrupt', 0x31, undefined, 2),
    ])('$type $vector comes back, and is delivered by the next entry', (injected) => {
      const guest = withoutStack(
        machine().long(long`
      int 0x31
      hlt`),
      );
      guest.vector(injected.vector, HANDLER, 64).load(HANDLER, asm64`hlt`);
      guest.vcpu.debug.setRflags(IF);
      guest.vcpu.events.inject(injected);
      guest.run();
      expect(guest.vcpu.exit.kind).toBe(Kind.SECOND_STAGE);
      const interrupted = guest.vcpu.events.takeInterruptedEvent();
      expect(interrupted).toEqual(injected);
      expect(guest.vcpu.events.takeInterruptedEvent()).toBeUndefined();
      guest.map(STACK - 0x1000, guest.guest + STACK - 0x1000, true, true);
      guest.vcpu.events.inject(interrupted as VendorEvent);
      expect(guest.run().vcpu.exit.kind).toBe(Kind.HLT);
      expect(guest.rip).toBe(HANDLER);
      expect(guest.vcpu.events.takeInterruptedEvent()).toBeUndefined();
    });

    test("a guest's own exception comes back", () => {
      const guest = withoutStack(machine().long(long`ud2`));
      guest.vector(6, HANDLER, 64).load(HANDLER, asm64`hlt`).run();
      expect(guest.vcpu.exit.kind).toBe(Kind.SECOND_STAGE);
      expect(guest.rip).toBe(CODE);
      expect(guest.vcpu.events.takeInterruptedEvent()).toEqual(event('exception', 6));
      guest.map(STACK - 0x1000, guest.guest + STACK - 0x1000, true, true);
      guest.vcpu.events.inject(event('exception', 6));
      expect(guest.run().rip).toBe(HANDLER);
    });

    test("a guest's own INT n is delivered once, from its own instruction or by injection, and returns behind it", () => {
      const guest = withoutStack(machine().long(long`int 0x31`));
      guest.vector(0x31, HANDLER, 64).load(HANDLER, asm64`hlt`).run();
      expect(guest.vcpu.exit.kind).toBe(Kind.SECOND_STAGE);
      expect(guest.rip).toBe(CODE);
      const interrupted = guest.vcpu.events.takeInterruptedEvent();
      guest.map(STACK - 0x1000, guest.guest + STACK - 0x1000, true, true);
      if (interrupted !== undefined) guest.vcpu.events.inject(interrupted);
      expect(guest.run().rip).toBe(HANDLER);
      expect(guest.gpr(Gpr.RSP)).toBe(STACK - 40);
      expect(guest.read32(guest.gpr(Gpr.RSP))).toBe(CODE + 2);
    });

    test('there is nothing to take after an exit of another kind', () => {
      const guest = machine().real(real`hlt`).run();
      expect(guest.vcpu.events.takeInterruptedEvent()).toBeUndefined();
    });
  });

  describe('windows', () => {
    test('the interrupt window opens behind the instruction after STI, and stays wanted', () => {
      const guest = machine().real(real`
      nop
      sti
      nop
      nop
      hlt`);
      guest.vcpu.events.setInterruptWindow(true);
      guest.run();
      expect(guest.vcpu.exit.kind).toBe(Kind.INTERRUPT_WINDOW);
      expect(guest.rip).toBe(CODE + 3);
      expect(guest.vcpu.events.interruptAllowed()).toBe(true);
      expect(guest.run().vcpu.exit.kind).toBe(Kind.INTERRUPT_WINDOW);
      guest.vcpu.events.setInterruptWindow(false);
      expect(guest.run().vcpu.exit.kind).toBe(Kind.HLT);
    });

    test('the window opens whatever the task priority is', () => {
      const guest = machine().real(real`sti
      nop
      nop
      hlt`);
      guest.vcpu.priority.set(15, 0);
      guest.vcpu.events.setInterruptWindow(true);
      expect(guest.run().vcpu.exit.kind).toBe(Kind.INTERRUPT_WINDOW);
    });

    test('an injected NMI blocks NMIs until IRET has completed; the window opens right there', () => {
      const guest = machine().long(long`
      nop
      hlt`);
      guest.vector(2, HANDLER, 64).load(
        HANDLER,
        asm64`
      cpuid
      iretq`,
      );
      guest.vcpu.events.inject(event('nmi', 2));
      expect(guest.run().vcpu.exit.kind).toBe(Kind.CPUID);
      expect([guest.vcpu.nmis.masked, guest.vcpu.events.nmiAllowed()]).toEqual([true, false]);
      guest.vcpu.skipInstruction();
      guest.vcpu.nmis.setWindow(true);
      expect(guest.run().vcpu.exit.kind).toBe(Kind.NMI_WINDOW);
      expect(guest.rip).toBe(CODE);
      expect([guest.vcpu.nmis.masked, guest.vcpu.events.nmiAllowed()]).toEqual([false, true]);
      guest.vcpu.nmis.setWindow(false);
      expect(guest.run().vcpu.exit.kind).toBe(Kind.HLT);
    });

    test('without a window the IRET of an NMI handler is no exit for KVM', () => {
      const guest = machine().long(long`hlt`).vector(2, HANDLER, 64).load(HANDLER, asm64`iretq`);
      guest.vcpu.events.inject(event('nmi', 2));
      expect(guest.run().vcpu.exit.kind).toBe(Kind.HLT);
      expect(guest.vcpu.nmis.masked).toBe(false);
    });

    test('an NMI that waits for an interrupt shadow gets in right behind it', () => {
      const guest = machine().real(real`
      nop
      nop
      hlt`);
      guest.vcpu.events.setShadow(2);
      expect(guest.vcpu.events.shadow()).toBe(2);
      expect(guest.vcpu.events.nmiAllowed()).toBe(false);
      guest.vcpu.nmis.setWindow(true);
      expect(guest.run().vcpu.exit.kind).toBe(Kind.NMI_WINDOW);
      expect(guest.rip).toBe(CODE + 1);
    });

    test('a write of CR8 below the threshold exits when done; others do not', () => {
      const guest = machine().long(long`
      mov eax, 9
      mov cr8, rax
      mov eax, 3
      mov cr8, rax
      hlt`);
      guest.vcpu.priority.set(8, 5);
      guest.run();
      expect(guest.vcpu.exit.kind).toBe(Kind.TASK_PRIORITY);
      expect(guest.vcpu.priority.get()).toBe(3);
      guest.vcpu.priority.set(3, 0);
      expect(guest.run().vcpu.exit.kind).toBe(Kind.HLT);
    });
  });

  describe('a debugger (KVM_SET_GUEST_DEBUG)', () => {
    const off = { interceptDebug: false, interceptBreakpoint: false, singleStep: false, breakpoints: undefined };

    test('single steps exit with DR6.BS; neither the flag nor DR6 shows in the guest', () => {
      const guest = machine().real(real`
      nop
      nop
      hlt`);
      guest.vcpu.debug.control({ ...off, interceptDebug: true, singleStep: true });
      guest.run();
      expect(guest.vcpu.exit).toMatchObject({ kind: Kind.EXCEPTION, vector: 1, debugBits: 0x4000 });
      expect(guest.rip).toBe(CODE + 1);
      expect(guest.vcpu.debug.rflags()).toBe(2);
      expect(guest.cpu.registers.get32(State.dr6) >>> 0).toBe(0xffff_0ff0);
      guest.vcpu.debug.control(off);
      expect(guest.run().vcpu.exit.kind).toBe(Kind.HLT);
    });

    test("a debugger's breakpoints stand in for the guest's, which come back", () => {
      const guest = machine().real(real`
      nop
      nop
      mov [0x5000], al
      hlt`);
      guest.vcpu.debug.setDr7(0x401);
      guest.cpu.registers.set64(State.dr, 0x7777n);
      const addresses = [BigInt(CODE + 1), 0x5000n, 0n, 0n] as const;
      // DR0 executes, DR1 is for writes of one byte.
      guest.vcpu.debug.control({ ...off, interceptDebug: true, breakpoints: { addresses, dr7: 0x10_0405 } });
      guest.run();
      expect(guest.vcpu.exit).toMatchObject({ kind: Kind.EXCEPTION, vector: 1, debugBits: 1 });
      expect(guest.rip).toBe(CODE + 1);
      expect([guest.vcpu.debug.dr7(), guest.cpu.registers.get64(State.dr)]).toEqual([0x401, 0x7777n]);
      guest.vcpu.debug.control({ ...off, interceptDebug: true, breakpoints: { addresses, dr7: 0x10_0404 } });
      guest.run();
      expect(guest.vcpu.exit).toMatchObject({ kind: Kind.EXCEPTION, vector: 1, debugBits: 2 });
      expect(guest.rip).toBe(CODE + 5);
      guest.vcpu.debug.control(off);
      expect(guest.vcpu.debug.dr7()).toBe(0x401);
    });

    test("the guest's moves of debug registers exit meanwhile", () => {
      const guest = machine().flat(asm32.with({ origin: CODE })`mov ecx, dr6`);
      guest.vcpu.debug.control({ ...off, interceptDebug: true });
      expect(guest.run().vcpu.exit).toMatchObject({ kind: Kind.DEBUG_REGISTER, register: 6, isWrite: false, gpr: 1 });
    });
  });
});
