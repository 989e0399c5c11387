import { ManualClock } from '@minusone/core';
import { expect, test } from 'vitest';
import { ApicBus } from './apic-bus.ts';
import { type ApicHost, LocalApic } from './local-apic.ts';
import { ApicRegister } from './registers.ts';

class Host implements ApicHost {
  intr = false;
  readonly events: string[] = [];
  setInterruptRequest(asserted: boolean): void {
    this.intr = asserted;
  }
  raiseNmi(): void {
    this.events.push('nmi');
  }
  raiseInit(): void {
    this.events.push('init');
  }
  raiseStartUp(vector: number): void {
    this.events.push(`sipi ${vector}`);
  }
}

function machine(count = 1): { bus: ApicBus; clock: ManualClock; apics: LocalApic[]; hosts: Host[] } {
  const bus = new ApicBus();
  const clock = new ManualClock();
  const hosts = Array.from({ length: count }, () => new Host());
  const timeStamp = { hz: 1e9, read: () => BigInt(clock.nowNs()) };
  const apics = hosts.map((host, id) => new LocalApic({ id, bus, host, clock, timeStamp }));
  for (const apic of apics) apic.writeRegister(ApicRegister.SVR, 0x1ff);
  return { bus, clock, apics, hosts };
}

test('the highest priority class is delivered first; one of the same class waits for EOI (SDM Vol. 3A, 10.8.3, 10.8.4)', () => {
  const { apics, hosts } = machine();
  const apic = apics[0]!;
  for (const vector of [0x31, 0x52, 0x38]) apic.receive(vector, 0, false);
  expect(apic.acknowledge()).toBe(0x52);
  expect(hosts[0]!.intr).toBe(false);
  expect(apic.readRegister(ApicRegister.PPR)).toBe(0x50);
  apic.writeRegister(ApicRegister.EOI, 0);
  expect(apic.acknowledge()).toBe(0x38);
  expect(hosts[0]!.intr).toBe(false);
  apic.writeRegister(ApicRegister.EOI, 0);
  expect(apic.acknowledge()).toBe(0x31);
});

test('TPR holds back its own class and lower; acknowledging then yields the spurious vector (SDM Vol. 3A, 10.8.3.1, 10.9)', () => {
  const { apics, hosts } = machine();
  const apic = apics[0]!;
  apic.receive(0x41, 0, false);
  expect(hosts[0]!.intr).toBe(true);
  apic.writeRegister(ApicRegister.TPR, 0x40);
  expect(hosts[0]!.intr).toBe(false);
  expect(apic.acknowledge()).toBe(0xff);
  apic.taskPriority = 0x30;
  expect(apic.acknowledge()).toBe(0x41);
});

test('EOI of a level-triggered interrupt is broadcast; of an edge-triggered one not; SVR bit 12 suppresses it (SDM Vol. 3A, 10.8.5)', () => {
  const { bus, apics } = machine();
  const apic = apics[0]!;
  const seen: number[] = [];
  bus.onEoi((vector) => seen.push(vector));
  const take = (vector: number, level: boolean): void => {
    apic.receive(vector, 0, level);
    apic.acknowledge();
    apic.writeRegister(ApicRegister.EOI, 0);
  };
  take(0x40, true);
  take(0x40, false);
  expect(seen).toEqual([0x40]);
  apic.writeRegister(ApicRegister.SVR, 0x11ff);
  take(0x40, true);
  expect(seen).toEqual([0x40]);
});

test('a vector below 16 is an illegal vector: ESR, after a write, shows it (SDM Vol. 3A, 10.5.2, 10.5.3)', () => {
  const { apics } = machine();
  apics[0]!.receive(5, 0, false);
  expect(apics[0]!.readRegister(ApicRegister.ESR)).toBe(0);
  apics[0]!.writeRegister(ApicRegister.ESR, 0);
  expect(apics[0]!.readRegister(ApicRegister.ESR)).toBe(0x40);
});

test('the timer: one-shot, periodic, divided; the current count goes down (SDM Vol. 3A, 10.5.4)', () => {
  const { apics, clock } = machine();
  const apic = apics[0]!;
  apic.writeRegister(ApicRegister.LVT_TIMER, 0x30);
  apic.writeRegister(ApicRegister.TIMER_DIVIDE, 0xb); // by 1
  apic.writeRegister(ApicRegister.TIMER_INITIAL, 100);
  clock.advanceTo(40);
  expect(apic.readRegister(ApicRegister.TIMER_CURRENT)).toBe(60);
  clock.advanceTo(99);
  expect(apic.hasPending).toBe(false);
  clock.advanceTo(100);
  expect(apic.acknowledge()).toBe(0x30);
  expect(apic.readRegister(ApicRegister.TIMER_CURRENT)).toBe(0);
  apic.writeRegister(ApicRegister.EOI, 0);
  apic.writeRegister(ApicRegister.LVT_TIMER, 0x20031);
  apic.writeRegister(ApicRegister.TIMER_DIVIDE, 0); // by 2
  apic.writeRegister(ApicRegister.TIMER_INITIAL, 50);
  for (const at of [200, 300, 400]) {
    clock.advanceTo(at - 1);
    expect(apic.hasPending).toBe(false);
    clock.advanceTo(at);
    expect(apic.acknowledge()).toBe(0x31);
    apic.writeRegister(ApicRegister.EOI, 0);
  }
});

test('TSC-deadline: fires once when the TSC gets there, and then reads 0; the initial count is ignored (SDM Vol. 3A, 10.5.4.1)', () => {
  const { apics, clock } = machine();
  const apic = apics[0]!;
  apic.writeTscDeadline(500n);
  expect(apic.readTscDeadline()).toBe(0n); // not in that mode
  apic.writeRegister(ApicRegister.LVT_TIMER, 0x40032);
  apic.writeTscDeadline(500n);
  apic.writeRegister(ApicRegister.TIMER_INITIAL, 10);
  clock.advanceTo(499);
  expect([apic.hasPending, apic.readTscDeadline()]).toEqual([false, 500n]);
  clock.advanceTo(500);
  expect([apic.acknowledge(), apic.readTscDeadline()]).toEqual([0x32, 0n]);
});

test('destinations: physical, flat and cluster logical, shorthands, lowest priority (SDM Vol. 3A, 10.6.2)', () => {
  const { bus, apics, hosts } = machine(3);
  const who = (): string => hosts.map((host) => (host.intr ? 'x' : '-')).join('');
  const clear = (): void => {
    for (const apic of apics) {
      while (apic.hasPending) apic.acknowledge();
      for (let i = 0; i < 4; i++) apic.writeRegister(ApicRegister.EOI, 0);
    }
  };
  const send = (destination: number, logical: boolean, deliveryMode = 0): string => {
    bus.deliver({ vector: 0x50, deliveryMode, destination, logical, level: false });
    const answer = who();
    clear();
    return answer;
  };
  apics.forEach((apic, i) => {
    apic.writeRegister(ApicRegister.LDR, 1 << (24 + i));
  });
  expect(send(2, false)).toBe('--x');
  expect(send(0xff, false)).toBe('xxx');
  expect(send(0b101, true)).toBe('x-x');
  apics[0]!.taskPriority = 0x20;
  expect(send(0b111, true, 1)).toBe('-x-');
  apics[0]!.taskPriority = 0;
  for (const [i, apic] of apics.entries()) {
    apic.writeRegister(ApicRegister.DFR, 0x0fffffff);
    apic.writeRegister(ApicRegister.LDR, (((i + 1) << 4) | 1) << 24);
  }
  expect(send(0x21, true)).toBe('-x-');
  apics[1]!.writeRegister(ApicRegister.ICR_LOW, 0x80050);
  expect(who()).toBe('xxx');
  clear();
  apics[1]!.writeRegister(ApicRegister.ICR_LOW, 0x40050);
  expect(who()).toBe('-x-');
  clear();
  apics[1]!.writeRegister(ApicRegister.ICR_LOW, 0xc0050);
  expect(who()).toBe('x-x');
});

test('INIT, SIPI and NMI go to the host; INIT level de-assert does nothing (SDM Vol. 3A, 10.6.1)', () => {
  const { apics, hosts } = machine(2);
  const send = (low: number): void => {
    apics[0]!.writeRegister(ApicRegister.ICR_HIGH, 1 << 24);
    apics[0]!.writeRegister(ApicRegister.ICR_LOW, low);
  };
  send(0xc500);
  send(0x8500);
  send(0x4609);
  send(0x4400);
  expect(hosts[1]!.events).toEqual(['init', 'sipi 9', 'nmi']);
});

test('x2APIC: transitions, MSR rules, 32-bit destinations (SDM Vol. 3A, 10.12)', () => {
  const { apics, hosts } = machine(2);
  const apic = apics[0]!;
  expect(apic.readMsr(0x802)).toBeUndefined();
  expect(apic.writeBaseMsr(0xfee00c00n)).toBe(true);
  expect(apic.writeBaseMsr(0xfee00800n)).toBe(false); // x2APIC to xAPIC is not allowed
  expect(apic.readMsr(0x802)).toBe(0n);
  expect(apic.readMsr(0x80d)).toBe(1n); // LDR: cluster 0, bit 0
  expect(apic.writeMsr(0x80b, 1n)).toBe(false); // EOI: only 0
  expect(apic.writeMsr(0x802, 0n)).toBe(false);
  // LINT0: bits 12 and 14 are read-only, not reserved (SDM Vol. 3A, Figure 10-8); bit 13 with bit 19 is out of the register's own.
  expect(apic.writeMsr(0x835, 0x5700n)).toBe(true);
  expect((apic.readRegister(ApicRegister.LVT_LINT0) as number) & 0x5000).toBe(0);
  expect(apic.writeMsr(0x835, 0x80700n)).toBe(false);
  expect(apic.readMsr(0x80e)).toBeUndefined();
  expect(apic.writeMsr(0x830, (1n << 32n) | 0x60n)).toBe(true);
  expect(hosts[1]!.intr).toBe(true);
  expect(apic.writeMsr(0x83f, 0x61n)).toBe(true);
  expect(apic.acknowledge()).toBe(0x61);
});

test('ExtINT: LINT0 passes the 8259 on, also while the APIC is globally disabled (SDM Vol. 3A, 10.4.3, 10.5.1)', () => {
  const bus = new ApicBus();
  const clock = new ManualClock();
  const host = new Host();
  const external = { acknowledge: () => 0x08 };
  const apic = new LocalApic({ id: 0, bus, host, clock, timeStamp: { hz: 1e9, read: () => 0n }, external });
  apic.lint0.set(true);
  expect(host.intr).toBe(false); // masked after reset
  apic.writeRegister(ApicRegister.SVR, 0x1ff);
  apic.writeRegister(ApicRegister.LVT_LINT0, 0x700);
  expect([host.intr, apic.acknowledge()]).toEqual([true, 8]);
  apic.writeRegister(ApicRegister.LVT_LINT0, 0x10700);
  expect(host.intr).toBe(false);
  apic.writeBaseMsr(0xfee00000n);
  expect([host.intr, apic.acknowledge()]).toEqual([true, 8]);
});

test('a hypervisor hears of every end of an interrupt, edge or level, before IOAPICs do, and how many took a message', () => {
  const { bus, apics } = machine(2);
  const seen: string[] = [];
  bus.onEndOfInterrupt((vector, apic) => seen.push(`end ${vector} of ${apic.id}`));
  bus.onEoi((vector) => seen.push(`broadcast ${vector}`));
  const send = (destination: number, level: boolean): number =>
    bus.deliver({ vector: 0x40, deliveryMode: 0, destination, logical: false, level });
  expect([send(1, false), send(0xff, false), send(7, false)]).toEqual([1, 2, -1]);
  apics[0]!.acknowledge();
  apics[0]!.writeRegister(ApicRegister.EOI, 0);
  send(1, true);
  expect([apics[1]!.holdsLevel(0x40), apics[0]!.holdsLevel(0x40)]).toEqual([true, false]);
  apics[1]!.acknowledge();
  apics[1]!.writeRegister(ApicRegister.EOI, 0);
  expect(seen).toEqual(['end 64 of 0', 'end 64 of 1', 'broadcast 64']);
  apics[0]!.writeRegister(ApicRegister.SVR, 0xff);
  expect(send(0, false)).toBe(0); // software-disabled: it is there, and takes nothing
});

test('without EOI-broadcast suppression neither the version nor SVR knows of it (SDM Vol. 3A, 10.8.5)', () => {
  const bus = new ApicBus();
  const options = { id: 0, bus, host: new Host(), clock: new ManualClock(), timeStamp: { hz: 1e9, read: () => 0n } };
  const apic = new LocalApic({ ...options, suppressesEoiBroadcast: false, lint0AtReset: 0x700 });
  expect(apic.readRegister(ApicRegister.VERSION)).toBe(0x50014);
  apic.writeRegister(ApicRegister.SVR, 0x11ff);
  expect(apic.readRegister(ApicRegister.SVR)).toBe(0x1ff);
  expect(apic.readRegister(ApicRegister.LVT_LINT0)).toBe(0x700);
});

test('state saved half-way through a count, with interrupts requested and in service, goes on after a restore', () => {
  const first = machine();
  const apic = first.apics[0]!;
  apic.writeRegister(ApicRegister.LVT_TIMER, 0x20031);
  apic.writeRegister(ApicRegister.TIMER_DIVIDE, 0xb);
  apic.writeRegister(ApicRegister.TIMER_INITIAL, 100);
  apic.receive(0x60, 0, true);
  apic.acknowledge();
  apic.receive(0x41, 0, false);
  apic.taskPriority = 0x20;
  first.clock.advanceTo(30);
  const second = machine();
  const copy = second.apics[0]!;
  second.clock.advanceTo(30);
  copy.restore(apic.save());
  for (let offset = 0; offset < 0x400; offset += 0x10) expect(copy.readRegister(offset)).toBe(apic.readRegister(offset));
  copy.writeRegister(ApicRegister.EOI, 0);
  expect(copy.acknowledge()).toBe(0x41);
  copy.writeRegister(ApicRegister.EOI, 0);
  second.clock.advanceTo(99);
  expect(copy.hasPending).toBe(false);
  second.clock.advanceTo(100);
  expect(copy.acknowledge()).toBe(0x31);
});

test('IA32_APIC_BASE loaded from outside knows no forbidden transition, but no state that does not exist (SDM Vol. 3A, 10.12.1)', () => {
  const apic = machine().apics[0]!;
  expect([apic.loadBaseMsr(0xfee00400n), apic.loadBaseMsr(0xfee00d00n), apic.isX2apic]).toEqual([false, true, true]);
  expect([apic.loadBaseMsr(0xfee00900n), apic.isX2apic, apic.baseMsr]).toEqual([true, false, 0xfee00900n]);
});
