import { InvalidArgumentError } from '@minusone/core';
import { PIT_RATE } from '@minusone/devices';
import { expect, test } from 'vitest';
import { initializePics, type TestMachine, testMachine } from './test-irqchip.ts';

const DIVISOR = 1000;
/** Nanoseconds of so many periods of counter 0, and a bit. */
const after = (periods: number): number => PIT_RATE.nsOf(DIVISOR * periods + 10);

function ticking(machine: TestMachine, speakerDummy = false): TestMachine {
  initializePics(machine);
  machine.outb(0x21, 0x01);
  machine.irqchip.createPit2({ speakerDummy });
  machine.outb(0x43, 0x34); // counter 0, both bytes, mode 2
  machine.outb(0x40, DIVISOR & 0xff);
  machine.outb(0x40, DIVISOR >>> 8);
  machine.outb(0x21, 0x00);
  return machine;
}

/** Takes one interrupt of the 8259 pair and ends it. */
function take({ lapics, outb }: TestMachine): number {
  const vector = lapics[0]!.acknowledge();
  outb(0x20, 0x20);
  return vector;
}

test('each period of counter 0 is an interrupt of GSI 0, at the PIC and at the IOAPIC (api.rst, KVM_CREATE_PIT2)', () => {
  const m = ticking(testMachine());
  for (const period of [1, 2, 3]) {
    expect(m.hosts[0]!.intr).toBe(false);
    m.clock.advanceTo(after(period));
    expect([m.hosts[0]!.intr, take(m)]).toEqual([true, 8]);
  }
  m.outb(0x21, 0xff);
  m.ioapic(0x10, 0x31);
  m.clock.advanceTo(after(4));
  expect(m.lapics[0]!.acknowledge()).toBe(0x31);
  m.eoi();
  m.clock.advanceTo(after(5));
  expect(m.lapics[0]!.acknowledge()).toBe(0x31);
  expect(() => m.irqchip.createPit2()).toThrow(InvalidArgumentError);
  expect(() => testMachine('split').irqchip.createPit2()).toThrow(InvalidArgumentError);
});

test('ticks that the guest is too slow for are injected one by one as it ends them (api.rst, KVM_REINJECT_CONTROL)', () => {
  const m = ticking(testMachine());
  m.clock.advanceTo(after(1));
  m.clock.advanceTo(after(2));
  m.clock.advanceTo(after(3));
  expect(m.irqchip.pit?.pendingTicks).toBe(3);
  expect([take(m), take(m), take(m), m.hosts[0]!.intr]).toEqual([8, 8, 8, false]);
  m.irqchip.pit?.reinjectControl(false);
  m.clock.advanceTo(after(4));
  m.clock.advanceTo(after(5));
  expect([take(m), m.hosts[0]!.intr]).toEqual([8, false]);
});

test('ticks that come while the pin is masked, or before ICW1, are not made up for: nobody could have ended them', () => {
  const m = ticking(testMachine());
  m.outb(0x21, 0x01);
  m.clock.advanceTo(after(1));
  m.clock.advanceTo(after(2));
  m.outb(0x21, 0x00);
  expect(m.irqchip.pit?.pendingTicks).toBe(0);
  take(m); // the 8259 latched one edge
  m.clock.advanceTo(after(3));
  m.clock.advanceTo(after(4));
  initializePics(m);
  m.clock.advanceTo(after(5));
  expect([m.hosts[0]!.intr, take(m)]).toEqual([true, 8]);
});

test('port 61H is there with KVM_PIT_SPEAKER_DUMMY only: gate and output of counter 2, speaker data', () => {
  expect(ticking(testMachine()).irqchip.ports.map(({ first }) => first)).toEqual([0x20, 0xa0, 0x4d0, 0x40]);
  const m = ticking(testMachine(), true);
  m.outb(0x61, 0x03);
  m.outb(0x43, 0xb0); // counter 2, mode 0
  m.outb(0x42, 100);
  m.outb(0x42, 0);
  expect(m.inb(0x61) & 0x23).toBe(0x03);
  m.clock.advanceTo(PIT_RATE.nsOf(102));
  expect(m.inb(0x61) & 0x23).toBe(0x23);
  expect(m.irqchip.pit?.getPit2().flags.speakerDataOn).toBe(true);
});

test('struct kvm_pit_state2: modes, counts, latches; counter 0 begins its count anew, the others go on (api.rst, KVM_SET_PIT2)', () => {
  const m = ticking(testMachine(), true);
  m.outb(0x61, 0x01);
  m.outb(0x43, 0xb6); // counter 2, mode 3
  m.outb(0x42, 0x10);
  m.outb(0x42, 0x27); // 10000
  m.clock.advanceTo(PIT_RATE.nsOf(1001));
  m.outb(0x43, 0x80); // latch counter 2
  m.outb(0x43, 0x74); // counter 1, mode 2, and no count
  const state = m.irqchip.pit!.getPit2();
  expect(state.channels[0]).toMatchObject({ count: DIVISOR, mode: 2, rwMode: 3, bcd: 0, gate: 1, countLatched: 0 });
  expect(state.channels[1]).toMatchObject({ mode: 2, countLoadTime: -1n });
  expect(state.channels[2]).toMatchObject({ count: 10000, mode: 3, gate: 1, countLatched: 3, latchedCount: 10000 - 2 * 1000 });
  const copy = testMachine();
  initializePics(copy);
  copy.irqchip.createPit2({ speakerDummy: true });
  copy.clock.advanceTo(m.clock.nowNs());
  copy.irqchip.pit!.setPit2(state);
  expect(copy.hosts[0]!.intr).toBe(false);
  expect([copy.inb(0x42) | (copy.inb(0x42) << 8), copy.irqchip.pit!.getPit2().channels[1]]).toEqual([8000, state.channels[1]]);
  copy.clock.advanceTo(PIT_RATE.nsOf(1001 + 1000) - 1000);
  expect(copy.hosts[0]!.intr).toBe(false);
  copy.clock.advanceTo(PIT_RATE.nsOf(1001 + 1001));
  expect(copy.hosts[0]!.intr).toBe(true);
  m.clock.advanceTo(copy.clock.nowNs());
  m.inb(0x42);
  m.inb(0x42);
  for (const machine of [m, copy]) machine.outb(0x43, 0x80);
  expect(copy.inb(0x42) | (copy.inb(0x42) << 8)).toBe(m.inb(0x42) | (m.inb(0x42) << 8));
  // Never programmed: it stays so.
  const fresh = testMachine();
  fresh.irqchip.createPit2();
  const none = fresh.irqchip.pit!.getPit2();
  expect(none.channels[0]).toMatchObject({ mode: 0xff, count: 0, gate: 1 });
  fresh.irqchip.pit!.setPit2(none);
  fresh.clock.advanceTo(1e9);
  expect([fresh.irqchip.pit!.getPit2().channels[0].mode, fresh.hosts[0]!.intr]).toEqual([0xff, false]);
});

test('while the HPET has GSI 0 (KVM_PIT_FLAGS_HPET_LEGACY), counter 0 gives no ticks', () => {
  const m = ticking(testMachine());
  const state = m.irqchip.pit!.getPit2();
  m.irqchip.pit!.setPit2({ ...state, flags: { ...state.flags, hpetLegacy: true } });
  m.clock.advanceTo(after(5));
  expect(m.hosts[0]!.intr).toBe(false);
  m.irqchip.pit!.setPit2(state);
  m.clock.advanceTo(after(7));
  expect(m.hosts[0]!.intr).toBe(true);
});
