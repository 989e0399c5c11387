import { asm16, asm32, asm64 } from '@minusone/asm';
import type { VcpuExit } from '@minusone/kvm';
import { expect, test } from 'vitest';
import { exitsOf, longMode, onEither, realMode, tables64, vectors16 } from './testing.ts';

const code = (expected: string) => expect.objectContaining({ code: expected });

onEither((vendor) => {
  test('getSregs2 has PDPTEs in PAE paging, and setSregs2 takes them instead of reading them from memory (api.rst, 4.131, 4.132)', () => {
    const { vcpu, vm } = longMode(vendor, asm64`hlt`);
    expect(vcpu.getSregs2()).toMatchObject({ pdptrsValid: false, pdptrs: [0n, 0n, 0n, 0n], cr3: 0x1000n });
    vcpu.start({ mode: 'protected', ip: 0x10000 });
    const flat = vcpu.getSregs2();
    // In memory the first gigabyte is mapped by the directory at 3000H; in the registers by that at 5000H.
    const directory = (at: number, page: number): void => vm.memory.write(at, Uint8Array.of(0xe3, 0, page * 0x20, 0, 0, 0, 0, 0));
    vm.memory.write(0x2000, Uint8Array.of(0x01, 0x30, 0, 0, 0, 0, 0, 0));
    directory(0x3000, 0);
    directory(0x5000, 1);
    const paged = { ...flat, cr0: flat.cr0 | 0x80000000n, cr4: flat.cr4 | 0x20n, cr3: 0x2000n };
    vm.memory.write(
      0x210000,
      asm32`
        mov   al, 2
        hlt`,
    );
    vm.memory.write(
      0x10000,
      asm32`
        mov   al, 1
        hlt`,
    );
    vcpu.setSregs2({ ...paged, pdptrsValid: true, pdptrs: [0x5001n, 0n, 0n, 0n] });
    expect(vcpu.run().reason).toBe('hlt');
    // VT-x keeps PDPTEs in the VMCS (SDM Vol. 3C, 25.4.2); with nested paging AMD's processors read them where CR3 says (APM Vol. 2, 15.25.10).
    const isIntel = vcpu.cpu.model.vendor === 'intel';
    expect(vcpu.getRegs().rax).toBe(isIntel ? 2n : 1n);
    expect(vcpu.getSregs2()).toMatchObject({ pdptrsValid: true, pdptrs: [isIntel ? 0x5001n : 0x3001n, 0n, 0n, 0n] });
    vcpu.setSregs2({ ...paged, pdptrsValid: false, pdptrs: [0n, 0n, 0n, 0n] });
    vcpu.setRegs({ rip: 0x10000n });
    expect([vcpu.run().reason, vcpu.getRegs().rax, vcpu.getSregs2().pdptrs[0]]).toEqual(['hlt', 1n, 0x3001n]);
  });

  test('events: an interrupt, an NMI and an exception that are set are delivered; shadow and NMI mask hold them back (api.rst, 4.32)', () => {
    const { vcpu, vm } = realMode(
      vendor,
      asm16`
        nop
        nop
        hlt`,
    );
    const say = (port: number) => asm16`
        out   ${port}, al
        iret`;
    vectors16(vm, { 2: say(0x12), 6: say(0x16), 48: say(0x30) });
    const events = vcpu.getVcpuEvents();
    vcpu.setVcpuEvents({
      ...events,
      exception: { ...events.exception, injected: true, nr: 6 },
      nmi: { injected: false, pending: true, masked: false },
    });
    expect(vcpu.getVcpuEvents()).toMatchObject({ exception: { injected: true, nr: 6 }, nmi: { pending: true } });
    // The NMI comes before the first instruction of the handler of #UD.
    expect(exitsOf(vcpu)).toEqual(['out 12 1x1 00', 'out 16 1x1 00', 'hlt']);
    vcpu.setRegs({ rip: 0x1000n });
    vcpu.setVcpuEvents({ ...events, nmi: { injected: false, pending: true, masked: true } });
    expect(exitsOf(vcpu)).toEqual(['hlt']);
    vcpu.setVcpuEvents({ ...events, interrupt: { injected: true, nr: 0x30, soft: false, shadow: 0 } });
    // It was being delivered: its shadow no longer counts. IF has to be set all the same (SDM Vol. 3C, "Checks on Guest RIP, RFLAGS, and SSP").
    vcpu.setRegs({ rip: 0x1000n, rflags: 0x202n });
    expect(exitsOf(vcpu)).toEqual(['out 30 1x1 00', 'hlt']);
    vcpu.setVcpuEvents({ ...events, interrupt: { ...events.interrupt, shadow: 1 } });
    vcpu.setRegs({ rip: 0x1000n, rflags: 0x202n });
    expect(vcpu.getVcpuEvents().interrupt.shadow).not.toBe(0);
    vcpu.interrupt(0x30);
    // One instruction, then the interrupt: its return address is behind the first NOP.
    expect(vcpu.run()).toMatchObject({ reason: 'io', port: 0x30 });
    expect(new DataView(vm.memory.read(Number(vcpu.getRegs().rsp), 2).buffer).getUint16(0, true)).toBe(0x1001);
  });

  test('events that cannot be, or for which a capability is not enabled, are refused; nothing is changed', () => {
    const { vcpu, vm } = realMode(vendor, asm16`hlt`);
    const events = vcpu.getVcpuEvents();
    const { exception } = events;
    const set = (change: Partial<typeof events>) => () => vcpu.setVcpuEvents({ ...events, ...change });
    for (const nr of [2, 32, -1, 1.5]) expect(set({ exception: { ...exception, injected: true, nr } })).toThrow(code('INVALID_STATE'));
    expect(set({ interrupt: { injected: true, nr: 256, soft: false, shadow: 0 } })).toThrow(code('INVALID_STATE'));
    expect(set({ exception: { ...exception, pending: true, nr: 14 } })).toThrow(/EXCEPTION_PAYLOAD/);
    expect(set({ tripleFault: { pending: true } })).toThrow(/TRIPLE_FAULT_EVENT/);
    expect(vcpu.getVcpuEvents()).toEqual(events);
    vm.enableCap('KVM_CAP_X86_TRIPLE_FAULT_EVENT', 1n);
    set({ tripleFault: { pending: true } })();
    expect(vcpu.getVcpuEvents().tripleFault).toEqual({ pending: true });
    expect(vcpu.run().reason).toBe('shutdown');
  });

  test('with KVM_CAP_EXCEPTION_PAYLOAD a pending #PF keeps its address apart from CR2 until it is delivered (api.rst, 7.17)', () => {
    const { vcpu, vm } = longMode(
      vendor,
      asm64`
        mov   rax, cr2
        hlt`,
    );
    tables64(vcpu, {
      14: asm64`
        mov   rbx, cr2
        pop   rcx
        hlt`,
    });
    vm.enableCap('KVM_CAP_EXCEPTION_PAYLOAD', 1n);
    const events = vcpu.getVcpuEvents();
    const pending = { injected: false, pending: true, nr: 14, hasErrorCode: true, errorCode: 4, hasPayload: true, payload: 0x1234_5678n };
    vcpu.setVcpuEvents({ ...events, exception: pending });
    expect([vcpu.getVcpuEvents().exception, vcpu.getSregs().cr2]).toEqual([pending, 0n]);
    expect(vcpu.run().reason).toBe('hlt');
    expect([vcpu.getRegs().rbx, vcpu.getRegs().rcx]).toEqual([0x1234_5678n, 4n]);
  });

  test('INIT, SIPI and waiting are states that can be got and set with an irqchip (api.rst, 4.38, 4.39)', () => {
    const { vm } = realMode(vendor, asm16`hlt`, { prepare: (made) => made.createIrqchip() });
    const second = vm.createVcpu(1);
    for (const state of ['uninitialized', 'initReceived', 'halted', 'runnable'] as const) {
      second.setMpState(state);
      expect(second.getMpState()).toBe(state);
    }
    expect(() => second.setMpState('asleep' as 'halted')).toThrow(code('INVALID_STATE'));
    second.setMpState('initReceived');
    const events = second.getVcpuEvents();
    vm.memory.write(
      0x3000,
      asm16`
        mov   ax, cs
        out   0x50, ax
        hlt`,
    );
    second.setVcpuEvents({ ...events, sipiVector: 3 });
    expect(second.run()).toMatchObject({ reason: 'io', port: 0x50, data: Uint8Array.of(0, 3) });
  });

  test('state of one virtual CPU put into another of the same kind goes on there as if nothing had been (live migration)', () => {
    const program = asm64`
        mov   ecx, 20
        xor   ebx, ebx
        fninit
        cvtsi2sd xmm1, rcx
  next: add   rbx, rcx
        addsd xmm1, xmm1
        fld1
        in    al, 0x10
        fstp  qword [0x5000]
        loop  next
        movq  rdx, xmm1
        hlt`;
    const from = longMode(vendor, program);
    const answers = (exit: VcpuExit): void => {
      if (exit.reason === 'io') exit.data.fill(0x5a);
    };
    for (let n = 0; n < 7; n++) {
      const exit = from.vcpu.run();
      answers(exit);
    }
    // The exit under way is completed, nothing more.
    from.vcpu.immediateExit = true;
    expect(from.vcpu.run().reason).toBe('intr');
    const to = longMode(vendor, asm64`hlt`);
    to.vm.memory.write(0, from.vm.memory.read(0, 4 * 2 ** 20));
    to.vcpu.setSregs(from.vcpu.getSregs());
    to.vcpu.setRegs(from.vcpu.getRegs());
    to.vcpu.setXcrs(from.vcpu.getXcrs());
    to.vcpu.setXsave(from.vcpu.getXsave());
    to.vcpu.setDebugRegs(from.vcpu.getDebugRegs());
    to.vcpu.setVcpuEvents(from.vcpu.getVcpuEvents());
    const list = from.kvm.getMsrIndexList();
    expect(to.vcpu.setMsrs(from.vcpu.getMsrs(list))).toBe(list.length);
    from.vcpu.immediateExit = false;
    expect(exitsOf(to.vcpu, answers)).toEqual(exitsOf(from.vcpu, answers));
    expect(to.vcpu.getRegs()).toEqual(from.vcpu.getRegs());
    expect(to.vcpu.getXsave()).toEqual(from.vcpu.getXsave());
    // The sum of 1 to 20.
    expect(to.vcpu.getRegs().rbx).toBe(210n);
  });
});
