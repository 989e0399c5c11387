import { InvalidArgumentError } from '@minusone/core';
import { ApicRegister } from '@minusone/x86';
import { expect, test } from 'vitest';
import { EventFd } from './event-fd.ts';
import { EventFds } from './event-fds.ts';
import { defaultRouting } from './routing.ts';
import { initializePics, testMachine } from './test-irqchip.ts';

const LEVEL = 0x8000;

test('by default GSIs 0-15 go to the PIC and the IOAPIC, 16-23 to the IOAPIC, a pin each (api.rst, KVM_CREATE_IRQCHIP)', () => {
  const m = testMachine();
  initializePics(m);
  for (let pin = 0; pin < 24; pin++) m.ioapic(0x10 + 2 * pin, 0x30 + pin);
  expect(m.irqchip.irqLine(4, true)).toBe(2); // both took it
  expect(m.irqchip.irqLine(20, true)).toBe(1);
  const take = (): number => {
    const vector = m.lapics[0]!.acknowledge();
    m.eoi();
    return vector;
  };
  expect([take(), take()]).toEqual([0x44, 0x34]);
  // ExtINT comes after the local APIC's own (SDM Vol. 3A, 10.8.3), on LINT0, which KVM leaves open for the bootstrap processor.
  expect([m.lapics[0]!.acknowledge(), m.hosts[0]!.intr]).toEqual([0x0c, false]);
  expect(m.irqchip.irqLine(24, true)).toBe(-1);
  expect(defaultRouting().length).toBe(16 + 24);
});

test('the status of an interrupt: taken, coalesced, masked (api.rst, KVM_IRQ_LINE_STATUS)', () => {
  const m = testMachine();
  initializePics(m);
  // The PIC takes edges, latched until INTA.
  expect(m.irqchip.irqLine(3, true)).toBe(1);
  expect(m.irqchip.irqLine(3, false)).toBeGreaterThanOrEqual(0);
  expect(m.irqchip.irqLine(3, true)).toBe(0);
  m.outb(0x21, 0x20);
  expect(m.irqchip.irqLine(5, true)).toBe(-1);
  // The IOAPIC: a level-triggered pin whose interrupt has not been ended yet.
  m.ioapic(0x10 + 2 * 18, LEVEL | 0x50);
  expect([m.irqchip.irqLine(18, true), m.irqchip.irqLine(18, true)]).toEqual([1, 0]);
  expect(m.irqchip.irqLine(19, true)).toBe(-1);
});

test('levels of several sources on one GSI are ORed: the pin falls with the last of them', () => {
  const m = testMachine();
  m.ioapic(0x10 + 2 * 18, LEVEL | 0x50);
  m.irqchip.irqLine(18, true, 'user');
  m.irqchip.irqLine(18, true, 'resample');
  m.irqchip.irqLine(18, false, 'user');
  expect(m.lapics[0]!.acknowledge()).toBe(0x50);
  m.eoi();
  expect(m.lapics[0]!.acknowledge()).toBe(0x50); // still asserted
  m.irqchip.irqLine(18, false, 'resample');
  m.eoi();
  expect(m.hosts[0]!.intr).toBe(false);
});

test('an MSI: destination in address bits 19:12, logical in bit 2, vector, mode and trigger in data (SDM Vol. 3A, 10.11)', () => {
  const m = testMachine('full', 2);
  expect(m.irqchip.signalMsi({ addressLo: 0xfee01000, addressHi: 0, data: 0x4041 })).toBe(1);
  expect([m.hosts[0]!.intr, m.hosts[1]!.intr, m.lapics[1]!.acknowledge()]).toEqual([false, true, 0x41]);
  m.lapics[0]!.writeRegister(ApicRegister.LDR, 1 << 24);
  m.lapics[1]!.writeRegister(ApicRegister.LDR, 2 << 24);
  expect(m.irqchip.signalMsi({ addressLo: 0xfee03004, addressHi: 0, data: 0x4042 })).toBe(2);
  expect(m.irqchip.signalMsi({ addressLo: 0xfee03008 | 4, addressHi: 0, data: 0x4043 })).toBe(1); // redirection hint: one of them
  expect(m.irqchip.signalMsi({ addressLo: 0xfee05000, addressHi: 0, data: 0x4041 })).toBe(-1); // nobody
  m.irqchip.signalMsi({ addressLo: 0xfee01000, addressHi: 0, data: 0x4400 });
  expect(m.hosts[1]!.events).toEqual(['nmi']);
});

test('with 32-bit ids bits 31:8 of a destination are in address_hi, and FFH is no broadcast any more (api.rst, KVM_CAP_X2APIC_API)', () => {
  const m = testMachine('split', 2);
  for (const lapic of m.lapics) expect(lapic.writeBaseMsr(lapic.baseMsr | 0x400n)).toBe(true);
  expect(m.irqchip.signalMsi({ addressLo: 0xfeeff000, addressHi: 0, data: 0x41 })).toBe(2);
  m.irqchip.enableX2apicApi({ use32BitIds: true, disableBroadcastQuirk: true });
  expect(m.irqchip.signalMsi({ addressLo: 0xfeeff000, addressHi: 0, data: 0x41 })).toBe(-1);
  expect(m.irqchip.signalMsi({ addressLo: 0xfeeff000, addressHi: 0xffffff00 | 0, data: 0x41 })).toBe(2);
  expect(m.irqchip.signalMsi({ addressLo: 0xfee01000, addressHi: 0x100, data: 0x41 })).toBe(-1);
  expect(() => m.irqchip.signalMsi({ addressLo: 0xfee01000, addressHi: 1, data: 0x41 })).toThrow(InvalidArgumentError);
});

test('a routing table replaces the one before; a GSI has one MSI, or at most one pin of each chip (api.rst, KVM_SET_GSI_ROUTING)', () => {
  const m = testMachine();
  initializePics(m);
  m.irqchip.setGsiRouting([
    { gsi: 0, type: 'irqchip', irqchip: 'ioapic', pin: 2 },
    { gsi: 30, type: 'msi', addressLo: 0xfee00000, addressHi: 0, data: 0x77 },
  ]);
  m.ioapic(0x14, 0x31);
  expect([m.irqchip.irqLine(0, true), m.irqchip.irqLine(30, true), m.irqchip.irqLine(4, true)]).toEqual([1, 1, -1]);
  expect(m.lapics[0]!.acknowledge()).toBe(0x77);
  m.eoi();
  expect(m.lapics[0]!.acknowledge()).toBe(0x31);
  const bad = [
    [{ gsi: 4096, type: 'irqchip', irqchip: 'ioapic', pin: 0 }],
    [{ gsi: 0, type: 'irqchip', irqchip: 'ioapic', pin: 24 }],
    [{ gsi: 0, type: 'irqchip', irqchip: 'pic-slave', pin: 8 }],
    [
      { gsi: 0, type: 'irqchip', irqchip: 'ioapic', pin: 1 },
      { gsi: 0, type: 'irqchip', irqchip: 'ioapic', pin: 2 },
    ],
    [
      { gsi: 0, type: 'irqchip', irqchip: 'ioapic', pin: 1 },
      { gsi: 0, type: 'msi', addressLo: 0, addressHi: 0, data: 0 },
    ],
  ] as const;
  for (const entries of bad) expect(() => m.irqchip.setGsiRouting(entries)).toThrow(InvalidArgumentError);
  expect(m.irqchip.gsiRouting.length).toBe(2);
  const split = testMachine('split').irqchip;
  expect(() => split.setGsiRouting([{ gsi: 0, type: 'irqchip', irqchip: 'ioapic', pin: 2 }])).toThrow(InvalidArgumentError);
});

test('split: the EOI of a level-triggered vector of the table is told with its local APIC, others are not (KVM_EXIT_IOAPIC_EOI)', () => {
  const m = testMachine('split', 2);
  const seen: string[] = [];
  m.irqchip.onIoapicEoi((vector, lapic) => seen.push(`${vector} of ${lapic.id}`));
  m.irqchip.setGsiRouting([
    { gsi: 5, type: 'msi', addressLo: 0xfee01000, addressHi: 0, data: LEVEL | 0x50 },
    { gsi: 6, type: 'msi', addressLo: 0xfee01000, addressHi: 0, data: 0x51 },
  ]);
  const take = (cpu: number): void => {
    m.lapics[cpu]!.acknowledge();
    m.eoi(cpu);
  };
  m.irqchip.irqLine(5, true);
  take(1);
  m.irqchip.irqLine(6, true);
  take(1);
  m.irqchip.signalMsi({ addressLo: 0xfee00000, addressHi: 0, data: 0x50 }); // an edge with the same vector elsewhere
  take(0);
  expect(seen).toEqual(['80 of 1']);
  // One under way when its route goes is still ended.
  m.irqchip.irqLine(5, true);
  m.irqchip.setGsiRouting([]);
  take(1);
  expect(seen).toEqual(['80 of 1', '80 of 1']);
  expect([m.irqchip.ports.length, m.irqchip.mmio.length, m.irqchip.extInt]).toEqual([0, 0, undefined]);
});

test('split: KVM_INTERRUPT is taken through LINT0 in ExtINT mode, one at a time', () => {
  const m = testMachine('split', 2);
  expect([m.irqchip.interrupt(m.lapics[0]!, 0x33), m.irqchip.interrupt(m.lapics[0]!, 0x34)]).toEqual([true, false]);
  expect([m.hosts[0]!.intr, m.lapics[0]!.acknowledge(), m.hosts[0]!.intr]).toEqual([true, 0x33, false]);
  expect(m.irqchip.interrupt(m.lapics[0]!, 0x34)).toBe(true);
  m.irqchip.interrupt(m.lapics[1]!, 0x35);
  expect(m.hosts[1]!.intr).toBe(false); // masked there after reset
  const full = testMachine();
  expect(full.irqchip.interrupt(full.lapics[0]!, 0x33)).toBe(false);
});

test('an irqfd pulses its GSI; with a resample fd it holds it until the guest has ended the interrupt (api.rst, KVM_IRQFD)', () => {
  const m = testMachine();
  const fds = new EventFds(() => m.irqchip);
  const [pulse, level, resample] = [new EventFd(), new EventFd(), new EventFd()];
  m.ioapic(0x10 + 2 * 17, 0x51);
  m.ioapic(0x10 + 2 * 18, LEVEL | 0x50);
  fds.irqfd({ fd: pulse, gsi: 17 });
  fds.irqfd({ fd: level, gsi: 18, resampleFd: resample });
  pulse.signal();
  expect([m.lapics[0]!.acknowledge(), pulse.read()]).toEqual([0x51, 0]);
  m.eoi();
  level.signal();
  expect([m.lapics[0]!.acknowledge(), resample.read()]).toEqual([0x50, 0]);
  m.eoi();
  expect([resample.read(), m.hosts[0]!.intr]).toEqual([1, false]);
  level.signal();
  fds.irqfd({ fd: level, gsi: 18, deassign: true });
  m.lapics[0]!.acknowledge();
  m.eoi();
  expect([resample.read(), m.hosts[0]!.intr]).toEqual([0, false]);
  level.signal();
  expect(m.hosts[0]!.intr).toBe(false);
  expect(() => fds.irqfd({ fd: level, gsi: 18, deassign: true })).toThrow(InvalidArgumentError);
  expect(() => fds.irqfd({ fd: pulse, gsi: 18 })).toThrow(InvalidArgumentError);
  expect(() => new EventFds(() => undefined).irqfd({ fd: level, gsi: 1 })).toThrow(InvalidArgumentError);
});

test('an ioeventfd is signalled by a write of its length and value at its address (api.rst, KVM_IOEVENTFD)', () => {
  const fds = new EventFds(() => undefined);
  const [any, two, wide, port] = [new EventFd(), new EventFd(), new EventFd(), new EventFd()];
  fds.ioeventfd({ fd: any, addr: 0x1000, len: 0 });
  fds.ioeventfd({ fd: two, addr: 0x2000, len: 2, datamatch: 7n });
  fds.ioeventfd({ fd: wide, addr: 0x2000, len: 8, datamatch: 0x1_0000_0002n });
  fds.ioeventfd({ fd: port, addr: 0x2000, len: 2, pio: true });
  expect([fds.match('mmio', 0x1000, 1, 9), fds.match('mmio', 0x1000, 8, 9, 9)]).toEqual([any, any]);
  expect([fds.match('mmio', 0x2000, 2, 7), fds.match('mmio', 0x2000, 2, 8), fds.match('mmio', 0x2000, 4, 7)]).toEqual([
    two,
    undefined,
    undefined,
  ]);
  expect([fds.match('mmio', 0x2000, 8, 2, 1), fds.match('mmio', 0x2000, 8, 2, 0)]).toEqual([wide, undefined]);
  expect([fds.match('pio', 0x2000, 2, 99), fds.match('pio', 0x1000, 2, 9)]).toEqual([port, undefined]);
  expect(() => fds.ioeventfd({ fd: any, addr: 0x2000, len: 2 })).toThrow(InvalidArgumentError);
  expect(() => fds.ioeventfd({ fd: any, addr: 0x3000, len: 0, datamatch: 1n })).toThrow(InvalidArgumentError);
  expect(() => fds.ioeventfd({ fd: any, addr: 0x2000, len: 2, datamatch: 7n, deassign: true })).toThrow(InvalidArgumentError);
  fds.ioeventfd({ fd: two, addr: 0x2000, len: 2, datamatch: 7n, deassign: true });
  expect(fds.match('mmio', 0x2000, 2, 7)).toBeUndefined();
});
