import { asm16, asm64 } from '@minusone/asm';
import type { VcpuExit } from '@minusone/kvm';
import { expect, test } from 'vitest';
import { exitsOf, longMode, onEither, realMode, tables64, vectors16 } from './testing.ts';

function explanation(exit: VcpuExit): string {
  return 'explanation' in exit ? exit.explanation : '';
}

onEither((vendor) => {
  test('debug: single steps, INT3 and breakpoints in DR0-3 are the debugger, and the guest sees none of it (api.rst, 4.87)', () => {
    const { vcpu } = longMode(
      vendor,
      asm64`
        mov   eax, 1
        int3
        nop
        mov   byte [0x5000], 7
        mov   rbx, dr7
        pushfq
        pop   rcx
        hlt`,
    );
    vcpu.setGuestDebug({ enable: true, useSwBp: true });
    expect(vcpu.run()).toMatchObject({ reason: 'debug', exception: 3, pc: 0x10005n });
    expect(vcpu.getRegs().rip).toBe(0x10005n);
    vcpu.setRegs({ rip: 0x10006n });
    // DR0: execution of 10006H; DR1: writes of a byte at 5000H (SDM Vol. 3B, 17.2.4).
    const debugreg = [0x10006n, 0x5000n, 0n, 0n, 0n, 0n, 0n, 0x10_000an | 0x2n];
    vcpu.setGuestDebug({ enable: true, useHwBp: true, debugreg });
    expect(vcpu.run()).toMatchObject({ reason: 'debug', exception: 1, pc: 0x10006n, dr6: 0xffff0ff1n });
    vcpu.setGuestDebug({ enable: true, useHwBp: true, debugreg: [0n, 0x5000n, 0n, 0n, 0n, 0n, 0n, 0x10_0008n] });
    expect(vcpu.run()).toMatchObject({ reason: 'debug', exception: 1, pc: 0x1000fn, dr6: 0xffff0ff2n });
    vcpu.setGuestDebug({ enable: true, singleStep: true });
    expect(vcpu.run()).toMatchObject({ reason: 'debug', exception: 1, pc: 0x10012n, dr6: 0xffff4ff0n });
    vcpu.setGuestDebug({ enable: false });
    expect(vcpu.run().reason).toBe('hlt');
    expect([vcpu.getRegs().rbx, (vcpu.getRegs().rcx >> 8n) & 1n]).toEqual([0x400n, 0n]);
  });

  test('injectDb and injectBp give the guest the exception (KVM_GUESTDBG_INJECT_DB, _INJECT_BP)', () => {
    const { vm, vcpu } = realMode(
      vendor,
      asm16`
        int3
        hlt`,
    );
    vectors16(vm, {
      1: asm16`
        out   0x11, al
        iret`,
      3: asm16`
        out   0x13, al
        iret`,
    });
    vcpu.setGuestDebug({ enable: true, useSwBp: true });
    expect(vcpu.run()).toMatchObject({ reason: 'debug', exception: 3, pc: 0x1000n });
    // The handler returns behind the INT3.
    vcpu.setGuestDebug({ enable: false, injectBp: true });
    expect(exitsOf(vcpu)).toEqual(['out 13 1x1 00', 'hlt']);
    vcpu.setRegs({ rip: 0x1001n });
    vcpu.setGuestDebug({ enable: false, injectDb: true });
    expect(exitsOf(vcpu)).toEqual(['out 11 1x1 00', 'hlt']);
  });

  test('hypercall: numbers that were asked for are the VMM, the others KVM_ENOSYS; at CPL 3 KVM_EPERM (hypercalls.rst; api.rst, 8.34)', () => {
    const { vm, vcpu, kvm } = longMode(vendor, asm64`hlt`);
    const call = kvm.vendor.model.vendor === 'intel' ? [0x0f, 0x01, 0xc1] : [0x0f, 0x01, 0xd9];
    const source = asm64.with({ origin: 0x10000 });
    vm.memory.write(
      0x10000,
      source`
        mov   eax, 12
        mov   ebx, 0x1000
        mov   ecx, 2
        mov   edx, 1
        db    ${call.join(',')}
        mov   rsi, rax
        mov   eax, 5
        db    ${call.join(',')}
        hlt`,
    );
    vm.enableCap('KVM_CAP_EXIT_HYPERCALL', 1n << 12n);
    const exit = vcpu.run();
    expect(exit).toMatchObject({ reason: 'hypercall', nr: 12n, args: [0x1000n, 2n, 1n, 0n, 0n, 0n] });
    if (exit.reason === 'hypercall') exit.ret = 0x1234n;
    expect(vcpu.run().reason).toBe('hlt');
    expect([vcpu.getRegs().rsi, vcpu.getRegs().rax]).toEqual([0x1234n, BigInt.asUintN(64, -1000n)]);
  });

  test('failEntry: state that only the hardware refuses; it says which check failed and what would mend it, and mended state runs', () => {
    const { vcpu } = longMode(vendor, asm64`hlt`);
    const regs = vcpu.getRegs();
    const sregs = vcpu.getSregs();
    const isIntel = vcpu.cpu.model.vendor === 'intel';
    // VT-x: TR has to be a busy TSS (SDM Vol. 3C, "Checks on Guest Segment Registers"). AMD-V: CS.L and CS.D in long mode (APM Vol. 2, 15.5.1).
    vcpu.setSregs(isIntel ? { ...sregs, tr: { ...sregs.tr, type: 9 } } : { ...sregs, cs: { ...sregs.cs, l: 1, db: 1 } });
    const exit = vcpu.run();
    expect(exit.reason).toBe('failEntry');
    if (exit.reason === 'failEntry') expect(exit.hardwareEntryFailureReason).toBe(isIntel ? 0x8000_0021n : 0xffff_ffffn);
    expect(explanation(exit)).toMatch(isIntel ? /TR/ : /CS/);
    expect(vcpu.getRegs()).toEqual(regs);
    vcpu.setSregs(sregs);
    expect(vcpu.run().reason).toBe('hlt');
  });

  test('internalError: code where no memory is; it shows registers and the walk, and with a slot there the guest goes on', () => {
    const { vcpu, vm, kvm } = longMode(
      vendor,
      asm64`
        mov   eax, 0x20000010
        jmp   rax`,
    );
    const exit = vcpu.run();
    expect(exit).toMatchObject({ reason: 'internalError', suberror: 'emulation' });
    expect(explanation(exit)).toMatch(
      /guest-physical address 0x20000010, where no memory slot stands[\s\S]*64-bit mode[\s\S]*RAX 0x20000010[\s\S]*walk of 0x20000010/,
    );
    expect(vcpu.getRegs().rip).toBe(0x20000010n);
    const memory = kvm.allocateMemory(0x1000);
    memory.write(0x10, asm64`hlt`);
    vm.setUserMemoryRegion({ slot: 1, guestPhysAddr: 0x20000000, memorySize: 0x1000, memory });
    expect(vcpu.run().reason).toBe('hlt');
  });

  test('internalError: an interrupt whose stack is no memory cannot be delivered (KVM_INTERNAL_ERROR_DELIVERY_EV); the event is not lost', () => {
    const { vcpu } = longMode(vendor, asm64`hlt`);
    tables64(vcpu, { 64: asm64`hlt` });
    vcpu.setRegs({ rflags: 0x202n, rsp: 0x20000000n });
    vcpu.interrupt(0x40);
    const exit = vcpu.run();
    expect(exit).toMatchObject({ reason: 'internalError', suberror: 'deliveryEv' });
    expect(explanation(exit)).toMatch(/RSP 0x20000000/);
    vcpu.setRegs({ rsp: 0x9000n });
    expect(vcpu.run().reason).toBe('hlt');
    expect(vcpu.getRegs().rip).toBe(0x20001n);
  });

  test('setTpr: without an irqchip the VMM hears of CR8 going down (kvm_run.cr8)', () => {
    const { vcpu } = longMode(
      vendor,
      asm64`
        mov   eax, 5
        mov   cr8, rax
        mov   eax, 2
        mov   cr8, rax
        mov   rbx, cr8
        hlt`,
    );
    expect(exitsOf(vcpu)).toEqual(['setTpr', 'hlt']);
    expect([vcpu.cr8, vcpu.getRegs().rbx]).toEqual([2n, 2n]);
  });

  test('systemEvent is never given: on x86 it belongs to interfaces that are not offered', () => {
    const { vm } = realMode(vendor, asm16`hlt`);
    expect([vm.checkExtension('KVM_CAP_SYSTEM_EVENT_DATA'), vm.checkExtension('KVM_CAP_HYPERV')]).toEqual([0, 0]);
  });
});
