import { InvalidArgumentError } from '@minusone/core';
import { ApicRegister } from '@minusone/x86';
import { expect, test } from 'vitest';
import type { Irqchip } from './irqchip.ts';
import { getLapic, LAPIC_PAGE_BYTES, setLapic } from './lapic-page.ts';
import { initializePics, testMachine } from './test-irqchip.ts';

function copyChips(from: Irqchip, to: Irqchip): void {
  to.setPic('pic-master', from.getPic('pic-master'));
  to.setPic('pic-slave', from.getPic('pic-slave'));
  to.setIoapic(from.getIoapic());
}

test('an 8259A that KVM has made takes requests at once, with vectors from 0, edge-triggered, nothing masked', () => {
  const m = testMachine();
  const { imr, irqBase, initState, elcr, elcrMask } = m.irqchip.getPic('pic-master');
  expect([imr, irqBase, initState, elcr, elcrMask, m.irqchip.getPic('pic-slave').elcrMask]).toEqual([0, 0, 0, 0, 0xf8, 0xde]);
  m.irqchip.irqLine(1, true);
  expect([m.hosts[0]!.intr, m.lapics[0]!.acknowledge()]).toEqual([true, 1]);
});

test('struct kvm_pic_state has what the guest programmed and what is under way (api.rst, KVM_GET_IRQCHIP)', () => {
  const m = testMachine();
  initializePics(m);
  m.outb(0x21, 0x81);
  m.outb(0x4d1, 0x02); // IRQ 9 level-triggered
  m.outb(0x20, 0xc3); // set priority: 3 is the lowest
  m.outb(0x20, 0x0b); // read ISR
  m.irqchip.irqLine(5, true);
  m.irqchip.irqLine(9, true);
  m.irqchip.irqLine(4, true);
  m.irqchip.irqLine(4, false);
  expect(m.lapics[0]!.acknowledge()).toBe(0x0c);
  const master = m.irqchip.getPic('pic-master');
  expect(master).toEqual({
    lastIrr: 0x24, // IRQ 5's line, and the slave's INT
    irr: 0x24,
    imr: 0x81,
    isr: 0x10,
    priorityAdd: 4,
    irqBase: 8,
    readRegSelect: 1,
    poll: 0,
    specialMask: 0,
    initState: 0,
    autoEoi: 0,
    rotateOnAutoEoi: 0,
    specialFullyNestedMode: 0,
    init4: 1,
    elcr: 0,
    elcrMask: 0xf8,
  });
  const slave = m.irqchip.getPic('pic-slave');
  expect([slave.irr, slave.lastIrr, slave.elcr, slave.irqBase]).toEqual([2, 2, 2, 0x70]);
  const copy = testMachine();
  copyChips(m.irqchip, copy.irqchip);
  expect([copy.irqchip.getPic('pic-master'), copy.irqchip.getPic('pic-slave')]).toEqual([master, slave]);
  copy.outb(0x20, 0x64); // specific EOI of IRQ 4
  expect([copy.lapics[0]!.acknowledge(), copy.hosts[0]!.intr]).toEqual([0x0d, false]);
  copy.outb(0x20, 0x65);
  expect(copy.lapics[0]!.acknowledge()).toBe(0x71);
});

test('an 8259A restored in the middle of its initialization goes on with the next ICW', () => {
  const m = testMachine();
  m.outb(0x20, 0x11);
  m.outb(0x21, 0x40);
  expect(m.irqchip.getPic('pic-master').initState).toBe(2); // ICW3 comes
  const copy = testMachine();
  copyChips(m.irqchip, copy.irqchip);
  copy.outb(0x21, 4);
  copy.outb(0x21, 3);
  expect([copy.irqchip.getPic('pic-master').initState, copy.irqchip.getPic('pic-master').autoEoi, copy.inb(0x21)]).toEqual([0, 1, 0]);
});

test('struct kvm_ioapic_state: restored, what waits at a pin is delivered, and remote IRR still holds the others (api.rst, KVM_SET_IRQCHIP)', () => {
  const m = testMachine();
  m.ioapic(0x10 + 2 * 18, 0x8050);
  m.ioapic(0x11 + 2 * 18, 0x00000000);
  m.ioapic(0x10 + 2 * 19, 0x18051); // masked
  m.ioapic(0, 0x05000000);
  m.irqchip.irqLine(18, true);
  m.irqchip.irqLine(19, true);
  const state = m.irqchip.getIoapic();
  expect([state.baseAddress, state.id, state.irr, state.redirtbl[18], state.redirtbl[19]]).toEqual([
    0xfec00000n,
    5,
    0xc0000,
    0xc050n,
    0x18051n,
  ]);
  const copy = testMachine();
  copy.irqchip.setIoapic({ ...state, redirtbl: state.redirtbl.map((entry, pin) => (pin === 19 ? entry & ~0x10000n : entry)) });
  expect(copy.lapics[0]!.acknowledge()).toBe(0x51);
  copy.eoi();
  expect(copy.lapics[0]!.acknowledge()).toBe(0x51); // the line is still there; vector 50H waits for its own EOI, which is in the local APIC's state
  expect(() => copy.irqchip.setIoapic({ ...state, baseAddress: 0xfec10000n })).toThrow(InvalidArgumentError);
  expect(() => copy.irqchip.setIoapic({ ...state, redirtbl: [] })).toThrow(InvalidArgumentError);
  expect(() => testMachine('split').irqchip.getIrqchip('ioapic')).toThrow(InvalidArgumentError);
});

test('KVM_GET_LAPIC is the page of registers: each at its offset, 32 bits every 16 bytes (SDM Vol. 3A, Table 10-1)', () => {
  const m = testMachine('full', 2);
  const lapic = m.lapics[1]!;
  lapic.writeRegister(ApicRegister.TPR, 0x30);
  lapic.writeRegister(ApicRegister.LDR, 0x02000000);
  lapic.receive(0x61, 0, true);
  lapic.acknowledge();
  lapic.receive(0x41, 0, false);
  const page = getLapic(lapic);
  const at = (offset: number) => new DataView(page.buffer).getUint32(offset, true);
  expect(page.length).toBe(LAPIC_PAGE_BYTES);
  expect([at(0x20), at(0x80), at(0xd0), at(0xf0), at(0x130), at(0x1b0), at(0x220)]).toEqual([
    1 << 24,
    0x30,
    0x02000000,
    0x1ff,
    1 << 1,
    1 << 1,
    1 << 1,
  ]);
  expect(at(0x24)).toBe(0);
  const copy = testMachine('full', 2);
  setLapic(copy.lapics[1]!, page);
  expect(getLapic(copy.lapics[1]!)).toEqual(page);
  copy.eoi(1);
  expect(copy.lapics[1]!.acknowledge()).toBe(0x41);
  expect(() => setLapic(lapic, page.subarray(4))).toThrow(InvalidArgumentError);
});

test('KVM_SET_LAPIC: the timer goes on from its current count, a periodic one in step', () => {
  const m = testMachine();
  const lapic = m.lapics[0]!;
  lapic.writeRegister(ApicRegister.LVT_TIMER, 0x20031);
  lapic.writeRegister(ApicRegister.TIMER_DIVIDE, 0xb);
  lapic.writeRegister(ApicRegister.TIMER_INITIAL, 1000);
  m.clock.advanceTo(400);
  const copy = testMachine();
  copy.clock.advanceTo(50_000);
  setLapic(copy.lapics[0]!, getLapic(lapic));
  for (const due of [50_600, 51_600]) {
    copy.clock.advanceTo(due - 1);
    expect(copy.hosts[0]!.intr).toBe(false);
    copy.clock.advanceTo(due);
    expect(copy.lapics[0]!.acknowledge()).toBe(0x31);
    copy.eoi();
  }
});

test('in x2APIC mode the ID register of the page has bits 31:24, or all 32 with KVM_X2APIC_API_USE_32BIT_IDS (api.rst, KVM_GET_LAPIC)', () => {
  const m = testMachine('full', 2);
  const lapic = m.lapics[1]!;
  expect(lapic.writeBaseMsr(0xfee00c00n)).toBe(true);
  lapic.writeMsr(0x830, (1n << 32n) | 0x60n);
  const id = (page: Uint8Array) => new DataView(page.buffer).getUint32(0x20, true);
  expect([id(getLapic(lapic)), id(getLapic(lapic, true))]).toEqual([1 << 24, 1]);
  const page = getLapic(lapic, true);
  expect(new DataView(page.buffer).getUint32(0x310, true)).toBe(1); // ICR's high half apart
  setLapic(lapic, page, true);
  expect(getLapic(lapic, true)).toEqual(page);
  expect(() => setLapic(m.lapics[0]!, page, false)).not.toThrow();
  page[0x20] = 9;
  expect(() => setLapic(lapic, page, true)).toThrow(InvalidArgumentError);
});
