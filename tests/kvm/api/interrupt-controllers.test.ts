import { asm16, asm64 } from '@minusone/asm';
import { EventFd, type Vcpu, type Vm } from '@minusone/kvm';
import { expect, test } from 'vitest';
import { exitsOf, longMode, onEither, realMode, tables64, vectors16 } from './testing.ts';

const PIC_AT_20 = asm16`
        mov   al, 0x11
        out   0x20, al
        out   0xa0, al
        mov   al, 0x20
        out   0x21, al
        mov   al, 0x28
        out   0xa1, al
        mov   al, 4
        out   0x21, al
        mov   al, 2
        out   0xa1, al
        mov   al, 1
        out   0x21, al
        out   0xa1, al
        mov   al, 0
        out   0x21, al
        out   0xa1, al
        sti
  wait: hlt
        jmp   wait`;
/** A handler that says its vector to port 50H and ends its interrupt at both PICs. */
const sayAndEnd = (vector: number) => asm16`
        mov   al, ${vector}
        out   0x50, al
        mov   al, 0x20
        out   0xa0, al
        out   0x20, al
        iret`;
const full = (made: Vm): void => made.createIrqchip();

/** Enables the local APIC in x2APIC mode, then waits. */
const X2APIC = asm64`
        mov   ecx, 0x1b
        mov   eax, 0xfee00d00
        xor   edx, edx
        wrmsr
        mov   ecx, 0x80f
        mov   eax, 0x1ff
        wrmsr
        sti
  wait: hlt
        jmp   wait`;
/** A handler that says a number to port 50H and ends its interrupt at the local APIC. */
const sayAndEoi = (number: number) => asm64`
        mov   al, ${number}
        out   0x50, al
        mov   ecx, 0x80b
        xor   eax, eax
        xor   edx, edx
        wrmsr
        iretq`;

function idle(vcpu: Vcpu): void {
  expect(vcpu.run()).toMatchObject({ reason: 'idle' });
}
/** What the guest says to ports until it waits. */
function said(vcpu: Vcpu): string[] {
  const lines = exitsOf(vcpu, undefined, ['idle']);
  expect(lines.pop()).toBe('idle');
  return lines;
}

onEither((vendor) => {
  test('a GSI goes through the 8259 pair to the guest, the slave behind IRQ 2; irqLineStatus tells coalesced and masked (api.rst, 4.25)', () => {
    const { vm, vcpu } = realMode(vendor, PIC_AT_20, { prepare: full });
    vectors16(vm, { 35: sayAndEnd(0x23), 42: sayAndEnd(0x2a) });
    idle(vcpu);
    vm.irqLine(3, true);
    vm.irqLine(3, false);
    expect(said(vcpu)).toEqual(['out 50 1x1 23']);
    // Edges: what is pending takes no second one.
    expect(vm.irqLineStatus(10, true)).toBe(1);
    vm.irqLine(10, false);
    expect(vm.irqLineStatus(10, true)).toBe(0);
    vm.irqLine(10, false);
    expect(said(vcpu)).toEqual(['out 50 1x1 2a']);
    const pic = vm.getIrqchip('pic-slave');
    expect([pic.irqBase, pic.imr, pic.isr]).toEqual([0x28, 0, 0]);
    vm.setIrqchip('pic-slave', { ...pic, imr: 4 });
    vm.irqLine(10, true);
    expect(said(vcpu)).toEqual([]);
    vm.setIrqchip('pic-slave', { ...vm.getIrqchip('pic-slave'), imr: 0 });
    vcpu.nmi();
    vectors16(vm, { 2: asm16`iret` });
    expect(said(vcpu)).toEqual(['out 50 1x1 2a']);
  });

  test('an MSI goes to the local APIC that it names, by address and data (SDM Vol. 3A, 10.11; api.rst, 4.71)', () => {
    const { vm, vcpu } = longMode(vendor, X2APIC, { prepare: full });
    tables64(vcpu, { 97: sayAndEoi(1), 98: sayAndEoi(2) });
    idle(vcpu);
    expect(vm.signalMsi({ addressLo: 0xfee00000, addressHi: 0, data: 0x61 })).toBe(1);
    expect(said(vcpu)).toEqual(['out 50 1x1 01']);
    // Nobody has APIC id 5.
    expect(vm.signalMsi({ addressLo: 0xfee05000, addressHi: 0, data: 0x62 })).toBeLessThanOrEqual(0);
    expect(said(vcpu)).toEqual([]);
  });

  test('GSIs routed to the IOAPIC and to MSIs; a table that cannot be is refused, and the old one stays (api.rst, 4.52)', () => {
    const { vm, vcpu } = longMode(vendor, X2APIC, { prepare: full });
    tables64(vcpu, { 99: sayAndEoi(3), 100: sayAndEoi(4) });
    idle(vcpu);
    vm.setGsiRouting([
      { gsi: 5, type: 'irqchip', irqchip: 'ioapic', pin: 7 },
      { gsi: 40, type: 'msi', addressLo: 0xfee00000, addressHi: 0, data: 0x64 },
    ]);
    expect(() => vm.setGsiRouting([{ gsi: 5, type: 'irqchip', irqchip: 'ioapic', pin: 24 }])).toThrow(/has no pin 24/);
    expect(() => vm.setGsiRouting([{ gsi: 4096, type: 'msi', addressLo: 0, addressHi: 0, data: 0 }])).toThrow(/no GSI 4096/);
    const ioapic = vm.getIrqchip('ioapic');
    vm.setIrqchip('ioapic', { ...ioapic, redirtbl: ioapic.redirtbl.map((entry, pin) => (pin === 7 ? 0x63n : entry)) });
    expect(vm.irqLineStatus(5, true)).toBe(1);
    vm.irqLine(5, false);
    expect(said(vcpu)).toEqual(['out 50 1x1 03']);
    expect([vm.irqLineStatus(40, true), vm.irqLineStatus(6, true)]).toEqual([1, -1]);
    expect(said(vcpu)).toEqual(['out 50 1x1 04']);
  });

  test('an irqfd raises its GSI when it is signalled; a resampling one is told of the EOI (api.rst, 4.75)', () => {
    const { vm, vcpu } = realMode(vendor, PIC_AT_20, { prepare: full });
    vectors16(vm, { 36: sayAndEnd(0x24), 37: sayAndEnd(0x25) });
    idle(vcpu);
    const fd = new EventFd();
    vm.irqfd({ fd, gsi: 4 });
    expect(() => vm.irqfd({ fd, gsi: 5 })).toThrow(/an irqfd already/);
    fd.signal();
    expect(said(vcpu)).toEqual(['out 50 1x1 24']);
    vm.irqfd({ fd, gsi: 4, deassign: true });
    fd.signal();
    expect(said(vcpu)).toEqual([]);
    const level = new EventFd();
    const resampleFd = new EventFd();
    // ELCR: IRQ 5 is level-triggered.
    const pic = vm.getIrqchip('pic-master');
    vm.setIrqchip('pic-master', { ...pic, elcr: 0x20 });
    vm.irqfd({ fd: level, gsi: 5, resampleFd });
    level.signal();
    expect(resampleFd.read()).toBe(0);
    expect(said(vcpu)).toEqual(['out 50 1x1 25']);
    expect(resampleFd.read()).toBe(1);
  });

  test("the PIT's state is saved, restored and goes on; ticks that the guest was too slow for come later, or never (api.rst, 4.72, 4.73, 4.99)", () => {
    const run = (reinjects: boolean): number => {
      const { vm, vcpu } = realMode(
        vendor,
        asm16`
        cli
        mov   al, 0x34
        out   0x43, al
        mov   al, 0xe8
        out   0x40, al
        mov   al, 3
        out   0x40, al
        mov   al, 0
        out   0x50, al
        mov   cx, 0
  slow: loop  slow
        mov   cx, 0
  more: loop  more
        sti
  wait: hlt
        jmp   wait`,
        {
          prepare: (made) => {
            made.createIrqchip();
            made.createPit2();
          },
          // A virtual CPU of 10 MHz: the loops take some 13 ms, 15 ticks of 838 microseconds.
          instructionsPerSecond: 1e7,
        },
      );
      const pic = vm.getIrqchip('pic-master');
      vm.setIrqchip('pic-master', { ...pic, irqBase: 0x20, imr: 0xfe });
      vectors16(vm, { 32: sayAndEnd(0x20) });
      vm.reinjectControl(reinjects);
      vcpu.run();
      const state = vm.getPit2();
      expect([state.channels[0].count, state.channels[0].mode, state.channels[0].rwMode]).toEqual([1000, 2, 3]);
      vm.setPit2(state);
      expect(vm.getPit2().channels[0]).toMatchObject({ count: 1000, mode: 2 });
      // The first tick is a full period after the state was set.
      let ticks = 0;
      const first = vcpu.run();
      expect(first.reason).toBe('io');
      const from = vm.clock.nowNs();
      while (vm.clock.nowNs() < from + 300_000) {
        ticks++;
        if (vcpu.run({ instructions: 3000 }).reason !== 'io') break;
      }
      return ticks;
    };
    expect(run(true)).toBeGreaterThan(12);
    expect(run(false)).toBe(1);
  });

  test('a local APIC is saved and restored as its page: ids, priorities, vectors in service, LVT (api.rst, 4.57, 4.58)', () => {
    const { vm, vcpu } = longMode(vendor, X2APIC, { prepare: full });
    tables64(vcpu, { 97: sayAndEoi(1) });
    idle(vcpu);
    vm.signalMsi({ addressLo: 0xfee00000, addressHi: 0, data: 0x61 });
    const page = vcpu.getLapic();
    const word = (offset: number): number => new DataView(page.buffer).getUint32(offset, true);
    // SVR; IRR bit 61H: words of 32 bits every 16 bytes from 200H (SDM Vol. 3A, Table 10-1).
    expect([page.length, word(0xf0), word(0x200 + 0x30)]).toEqual([0x400, 0x1ff, 2]);
    const other = longMode(vendor, X2APIC, { prepare: full });
    tables64(other.vcpu, { 97: sayAndEoi(1) });
    idle(other.vcpu);
    other.vcpu.setLapic(page);
    expect(other.vcpu.getLapic()).toEqual(page);
    expect(said(other.vcpu)).toEqual(['out 50 1x1 01']);
    expect(() => vcpu.setLapic(new Uint8Array(16))).toThrow(/16 bytes/);
  });

  test('split irqchip: local APICs in KVM; the 8259 pair and the IOAPIC are the VMM, which is told of EOIs (api.rst, 7.5, KVM_EXIT_IOAPIC_EOI)', () => {
    const { vm, vcpu } = longMode(vendor, X2APIC, { prepare: (made) => made.enableCap('KVM_CAP_SPLIT_IRQCHIP', 24n) });
    tables64(vcpu, { 49: sayAndEoi(1), 102: sayAndEoi(6) });
    idle(vcpu);
    // LINT0 as ExtINT: the guest takes the vector that KVM_INTERRUPT gives.
    vcpu.interrupt(0x31);
    expect(() => vcpu.interrupt(0x32)).toThrow(/waits already/);
    expect(vcpu.run()).toMatchObject({ reason: 'io', port: 0x50, data: Uint8Array.of(1) });
    idle(vcpu);
    expect(() => vm.setGsiRouting([{ gsi: 5, type: 'irqchip', irqchip: 'ioapic', pin: 5 }])).toThrow(/split irqchip/);
    expect(() => vm.getIrqchip('ioapic')).toThrow(/split irqchip/);
    expect(() => vm.createPit2()).toThrow(/split irqchip/);
    vm.setGsiRouting([{ gsi: 9, type: 'msi', addressLo: 0xfee00000, addressHi: 0, data: 0x8066 }]);
    vm.irqLine(9, true);
    expect(vcpu.run()).toMatchObject({ reason: 'io', port: 0x50, data: Uint8Array.of(6) });
    expect(vcpu.run()).toEqual({ reason: 'ioapicEoi', vector: 0x66 });
    idle(vcpu);
  });

  test('all virtual CPUs run in the background until the signal aborts, or one has an exit (Vm.runAsync)', async () => {
    const { vm } = realMode(
      vendor,
      asm16`
  next: jmp   next`,
      { prepare: full },
    );
    const controller = new AbortController();
    const running = vm.runAsync({ signal: controller.signal });
    setTimeout(() => controller.abort(), 20);
    expect(await running).toEqual({ reason: 'stopped' });
    const talks = realMode(
      vendor,
      asm16`
        mov   cx, 1000
  next: loop  next
        out   0x50, al
        hlt`,
    );
    expect(await talks.vm.runAsync()).toMatchObject({ reason: 'exit', vcpu: { id: 0 }, exit: { reason: 'io', port: 0x50 } });
  });
});
