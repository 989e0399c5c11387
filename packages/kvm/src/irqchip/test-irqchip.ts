import { ManualClock } from '@minusone/core';
import { type ApicHost, ApicRegister, type LocalApic } from '@minusone/x86';
import { Irqchip } from './irqchip.ts';

/** A virtual CPU, as its local APIC sees it. */
export class TestHost implements ApicHost {
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

export interface TestMachine {
  readonly clock: ManualClock;
  readonly irqchip: Irqchip;
  readonly lapics: readonly LocalApic[];
  readonly hosts: readonly TestHost[];
  outb(port: number, value: number): void;
  inb(port: number): number;
  /** Writes an IOAPIC register. */
  ioapic(register: number, value: number): void;
  eoi(cpu?: number): void;
}

/** An irqchip with local APICs that are software-enabled. */
export function testMachine(kind: 'full' | 'split' = 'full', cpus = 1): TestMachine {
  const clock = new ManualClock();
  const irqchip = new Irqchip({ kind, clock });
  const hosts = Array.from({ length: cpus }, () => new TestHost());
  const timeStamp = { hz: 1e9, read: () => BigInt(clock.nowNs()) };
  const lapics = hosts.map((host, id) => irqchip.createLapic({ id, host, timeStamp }));
  for (const lapic of lapics) lapic.writeRegister(ApicRegister.SVR, 0x1ff);
  const at = (port: number) => irqchip.ports.find(({ first, count }) => port >= first && port < first + count)?.device;
  return {
    clock,
    irqchip,
    lapics,
    hosts,
    outb: (port, value) => at(port)?.writePort(port, 1, value),
    inb: (port) => at(port)?.readPort(port, 1) ?? 0xff,
    ioapic: (register, value) => {
      irqchip.mmio[0]?.device.writeMmio(0, 4, register);
      irqchip.mmio[0]?.device.writeMmio(0x10, 4, value);
    },
    eoi: (cpu = 0) => void lapics[cpu]?.writeRegister(ApicRegister.EOI, 0),
  };
}

/** As a PC BIOS programs the 8259 pair: vectors 8 and 70H, everything unmasked. */
export function initializePics({ outb }: TestMachine): void {
  for (const [port, base, cascade] of [
    [0x20, 0x08, 4],
    [0xa0, 0x70, 2],
  ] as const) {
    outb(port, 0x11);
    outb(port + 1, base);
    outb(port + 1, cascade);
    outb(port + 1, 0x01);
  }
}
