import { asm16, asm64 } from '@minusone/asm';
import { expect, test } from 'vitest';
import { exitsOf, longMode, onEither, realMode, tables64, vectors16 } from './testing.ts';

const SAY = (port: number) => asm16`
        out   ${port}, al
        iret`;

onEither((vendor) => {
  test('KVM_INTERRUPT waits until the guest takes interrupts; irqWindowOpen says when (api.rst, 4.16; kvm_run.request_interrupt_window)', () => {
    const { vcpu, vm } = realMode(
      vendor,
      asm16`
        out   0x10, al
        sti
        nop
        out   0x11, al
        hlt`,
    );
    vectors16(vm, { 33: SAY(0x20) });
    vcpu.run();
    expect([vcpu.ifFlag, vcpu.readyForInterruptInjection]).toEqual([false, false]);
    vcpu.requestInterruptWindow = true;
    expect(vcpu.run().reason).toBe('irqWindowOpen');
    // STI holds interrupts back for one instruction (SDM Vol. 2B, STI).
    expect([vcpu.getRegs().rip, vcpu.ifFlag, vcpu.readyForInterruptInjection]).toEqual([0x1004n, true, true]);
    vcpu.requestInterruptWindow = false;
    vcpu.interrupt(0x21);
    expect(() => vcpu.interrupt(0x22)).toThrow(/waits already/);
    expect(exitsOf(vcpu)).toEqual(['out 20 1x1 00', 'out 11 1x1 00', 'hlt']);
  });

  test('an NMI comes whatever IF is, a second one only after IRET (SDM Vol. 3A, 6.7.1)', () => {
    const { vcpu, vm } = realMode(
      vendor,
      asm16`
        out   0x10, al
        nop
        hlt`,
    );
    vectors16(vm, {
      2: asm16`
        out   0x20, al
        nop
        iret`,
    });
    vcpu.run();
    vcpu.nmi();
    expect(vcpu.getVcpuEvents().nmi).toMatchObject({ pending: true, masked: false });
    expect(vcpu.run()).toMatchObject({ reason: 'io', port: 0x20 });
    expect(vcpu.getVcpuEvents().nmi).toMatchObject({ pending: false, masked: true });
    vcpu.nmi();
    expect(exitsOf(vcpu)).toEqual(['out 20 1x1 00', 'hlt']);
  });

  test('exceptions of emulated instructions are delivered by the guest itself: #PF with CR2 and error code', () => {
    const { vcpu, vm } = longMode(
      vendor,
      asm64`
        lidt  [0x5000]
        mov   eax, [0x3ffffffd]
        hlt`,
    );
    // The second page of the access is not mapped: the first GiB ends there.
    vm.memory.write(0x5000, Uint8Array.of(0xff, 0, 0, 0x60, 0, 0, 0, 0, 0, 0));
    vm.memory.write(0x60e0, Uint8Array.of(0x00, 0x70, 8, 0, 0, 0x8e, 0, 0));
    vm.memory.write(0x4000, new Uint8Array(16));
    vm.memory.write(0x4008, Uint8Array.of(0xff, 0xff, 0, 0, 0, 0x9b, 0xaf, 0));
    const sregs = vcpu.getSregs();
    vcpu.setSregs({ ...sregs, gdt: { base: 0x4000n, limit: 15 } });
    vm.memory.write(
      0x7000,
      asm64`
        pop   rbx
        pop   rcx
        mov   rdx, cr2
        hlt`,
    );
    expect(exitsOf(vcpu)).toEqual(['hlt']);
    const { rbx, rcx, rdx } = vcpu.getRegs();
    expect([rbx, rcx, rdx]).toEqual([0n, 0x10008n, 0x40000000n]);
  });

  test('PIC and PIT in the kernel: ticks wake HLT on the VM clock, at the PIT rate', () => {
    const { vcpu, vm } = realMode(
      vendor,
      asm16`
        mov   al, 0x11
        out   0x20, al
        mov   al, 0x20
        out   0x21, al
        mov   al, 4
        out   0x21, al
        mov   al, 1
        out   0x21, al
        mov   al, 0xfe
        out   0x21, al
        mov   al, 0x34
        out   0x43, al
        mov   al, 0xe8
        out   0x40, al
        mov   al, 3
        out   0x40, al
        sti
  wait: hlt
        jmp   wait`,
      {
        prepare: (vm) => {
          vm.createIrqchip();
          vm.createPit2();
        },
      },
    );
    vectors16(vm, {
      32: asm16`
        inc   bx
        out   0x10, al
        mov   al, 0x20
        out   0x20, al
        iret`,
    });
    const times: number[] = [];
    for (const exit of vcpu.exits()) {
      if (exit.reason === 'io') times.push(vm.clock.nowNs());
      if (times.length === 4) break;
    }
    const periods = times.slice(1).map((time, n) => time - (times[n] as number));
    // 1000 periods of 1.193182 MHz.
    for (const period of periods) expect(Math.abs(period - 838_095)).toBeLessThan(20);
    expect(vcpu.getMpState()).toBe('runnable');
    expect(vcpu.statistics.exits).toMatchObject({ HLT: expect.any(Number) });
  });

  test('a halted virtual CPU with an irqchip is idle: with its deadline if a timer runs, and for ever if none does', async () => {
    const { vcpu, vm } = realMode(
      vendor,
      asm16`
        cli
  wait: hlt
        jmp   wait`,
      { prepare: (made) => made.createIrqchip() },
    );
    expect(vcpu.run()).toEqual({ reason: 'idle', deadlineNs: undefined });
    expect(vcpu.getMpState()).toBe('halted');
    vm.clock.createTimer(() => vcpu.nmi()).arm(5000);
    vectors16(vm, { 2: SAY(0x50) });
    // The user knows that it waits: the next run lets virtual time go on.
    expect(vcpu.run()).toMatchObject({ reason: 'io', port: 0x50 });
    expect(vm.clock.nowNs()).toBeGreaterThanOrEqual(5000);
    expect([...vcpu.exits()]).toEqual([{ reason: 'idle', deadlineNs: undefined }]);
    const asleep = vcpu.runAsync();
    setTimeout(() => vcpu.nmi(), 5);
    expect(await asleep).toMatchObject({ reason: 'io', port: 0x50 });
  });

  test('the local APIC timer in TSC-deadline mode fires at its exact tick, by x2APIC MSRs (SDM Vol. 3A, 10.5.4.1, 10.12)', () => {
    const { vcpu } = longMode(
      vendor,
      asm64`
        mov   ecx, 0x1b
        mov   eax, 0xfee00d00
        xor   edx, edx
        wrmsr
        mov   ecx, 0x80f
        mov   eax, 0x1ff
        wrmsr
        mov   ecx, 0x832
        mov   eax, 0x40040
        wrmsr
        mov   ecx, 0x6e0
        mov   eax, 20000
        wrmsr
        sti
  next: inc   rbx
        jmp   next`,
      { prepare: (made) => made.createIrqchip() },
    );
    tables64(vcpu, {
      64: asm64`
        rdtsc
        out   0x10, eax
        hlt`,
    });
    // Tick 20000, the delivery, RDTSC itself, and at most the jump under way.
    const [said] = exitsOf(vcpu, undefined, ['idle']) as [string];
    expect(said).toMatch(/^out 10 4x1 2[0-3]4e0000$/);
  });

  test('xAPIC at its page: registers, and a self-IPI through ICR', () => {
    const { vcpu } = longMode(
      vendor,
      asm64`
        mov   ebx, 0x3fe00000
        mov   ecx, 0x1b
        mov   eax, 0x3fe00900
        xor   edx, edx
        wrmsr
        mov   eax, [rbx + 0x30]
        out   0x10, eax
        mov   dword [rbx + 0xf0], 0x1ff
        sti
        mov   dword [rbx + 0x300], 0x40041
        nop
        hlt`,
      { prepare: (made) => made.createIrqchip() },
    );
    tables64(vcpu, {
      65: asm64`
        out   0x11, al
        hlt`,
    });
    const lines = exitsOf(vcpu, undefined, ['idle']);
    expect(lines).toEqual([expect.stringMatching(/^out 10 4x1 1400050[01]$/), expect.stringMatching(/^out 11/), 'idle']);
  });

  test('INIT and SIPI start a second virtual CPU; both run in turns, and two runs of the same are the same', () => {
    const run = (): unknown => {
      const { vm, vcpu } = longMode(
        vendor,
        asm64`
        mov   ecx, 0x1b
        mov   eax, 0xfee00d00
        xor   edx, edx
        wrmsr
        mov   ecx, 0x830
        mov   edx, 1
        mov   eax, 0xc500
        wrmsr
        mov   eax, 0x608
        wrmsr
  wait: cmp   byte [0x9000], 5
        jne   wait
        out   0x10, al
        hlt`,
        { prepare: (made) => made.createIrqchip() },
      );
      const second = vm.createVcpu(1);
      expect(second.getMpState()).toBe('uninitialized');
      vm.memory.write(
        0x8000,
        asm16`
        xor   ax, ax
        mov   ds, ax
        mov   byte [0x9000], 5
        mov   ax, cs
        out   0x50, ax
        hlt`,
      );
      const seen: string[] = [];
      for (;;) {
        const result = vm.run(1_000_000);
        if (result.reason !== 'exit') {
          seen.push(result.reason);
          break;
        }
        const { exit } = result;
        seen.push(`${result.vcpu.id}: ${exit.reason} ${exit.reason === 'io' ? `${exit.port.toString(16)} ${exit.data[1] ?? ''}` : ''}`);
      }
      expect(seen).toEqual(['1: io 50 8', '0: io 10 ', 'idle']);
      return [vm.instructions, vm.clock.nowNs(), vcpu.getRegs(), second.getRegs(), second.getMpState()];
    };
    expect(run()).toEqual(run());
  });

  test('the state of a virtual CPU that waits to be started can be set (api.rst, KVM_SET_MP_STATE)', () => {
    const { vm } = realMode(vendor, asm16`hlt`, { prepare: (made) => made.createIrqchip() });
    const second = vm.createVcpu(1);
    second.start({ mode: 'real', ip: 0x1000 });
    second.setMpState('uninitialized');
    expect(second.run()).toEqual({ reason: 'idle', deadlineNs: undefined });
    second.setMpState('runnable');
    expect([second.run().reason, second.getMpState()]).toEqual(['idle', 'halted']);
  });
});
