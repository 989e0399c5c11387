import { type InterruptMessage, ManualClock } from '@minusone/core';
import { I8259Pair } from '@minusone/devices';
import { PortSpace } from '@minusone/memory';
import { expect, test } from 'vitest';
import type { ProcessorSet } from '../accelerator.ts';
import { PcBoard } from './board.ts';
import { GuestRam } from './guest-ram.ts';
import { type MachineEnd, Power } from './power.ts';

const IOREGSEL = 0x00;
const IOWIN = 0x10;
const FIRST_REDIRECTION = 0x10;

/** A board whose processors are only wires: what reaches them is written down. */
function boardOf(memoryBytes = 4 * 2 ** 20) {
  const clock = new ManualClock();
  const messages: InterruptMessage[] = [];
  let intr = false;
  let eoi: ((vector: number) => void) | undefined;
  const processors: ProcessorSet = {
    clock,
    messages: { deliver: (message) => messages.push(message) },
    onEoi: (listener) => {
      eoi = listener;
    },
    intr: {
      set: (asserted) => {
        intr = asserted;
      },
    },
    start: () => {},
    run: () => ({ reason: 'budget' }),
    stop: () => {},
    idleCount: 0,
    statistics: { instructions: 0, instructionsInRegions: 0, exits: {} },
  };
  const ram = new GuestRam(memoryBytes);
  const ports = new PortSpace();
  const power = new Power(() => {});
  const sent: number[] = [];
  const debug: number[] = [];
  const a20: boolean[] = [];
  const pic = new I8259Pair({ intr: processors.intr });
  const board = new PcBoard({
    processors,
    pic,
    physical: ram.physical,
    ports,
    power,
    ramBelow4GiB: ram.below4GiB,
    ramAbove4GiB: ram.above4GiB,
    onSerial: (byte) => sent.push(byte),
    onDebug: (byte) => debug.push(byte),
    onSerialSpace: () => {},
    onA20: (enabled) => a20.push(enabled),
    startEpochSeconds: undefined,
  });
  const out = (port: number, ...values: number[]) => {
    for (const value of values) ports.write(port, 1, value);
  };
  /** Initializes the pair at vectors 20H and 28H, with only these lines unmasked. */
  const initializePic = (...irqs: number[]) => {
    out(0x20, 0x11);
    out(0x21, 0x20, 4, 1);
    out(0xa0, 0x11);
    out(0xa1, 0x28, 2, 1);
    const mask = irqs.reduce((bits, irq) => bits & ~(1 << irq), irqs.some((irq) => irq >= 8) ? 0xffff & ~4 : 0xffff);
    out(0x21, mask & 0xff);
    out(0xa1, mask >> 8);
  };
  /** Unmasks a pin of the IOAPIC: fixed, physical destination 0. */
  const redirect = (pin: number, vector: number, flags = 0) => {
    for (const [register, value] of [
      [FIRST_REDIRECTION + 2 * pin + 1, 0],
      [FIRST_REDIRECTION + 2 * pin, vector | flags],
    ] as const) {
      ram.physical.write32(0xfec0_0000 + IOREGSEL, register);
      ram.physical.write32(0xfec0_0000 + IOWIN, value);
    }
  };
  return {
    clock,
    ram,
    ports,
    power,
    board,
    pic,
    messages,
    sent,
    debug,
    a20,
    out,
    initializePic,
    redirect,
    in: (port: number) => ports.read(port, 1),
    end: () => power.end as MachineEnd,
    intr: () => intr,
    eoi: (vector: number) => eoi?.(vector),
  };
}

/** Channel 0, mode 2, about 1 kHz. */
function startTimer({ out }: { out: (port: number, ...values: number[]) => void }): void {
  out(0x43, 0x34);
  out(0x40, 0xa9, 0x04);
}

test('the timer reaches input 0 of the 8259 pair', () => {
  const pc = boardOf();
  startTimer(pc);
  pc.initializePic(0);
  expect(pc.intr()).toBe(false);
  pc.clock.advanceTo(1_500_000);
  expect(pc.intr()).toBe(true);
  expect(pc.pic.acknowledge()).toBe(0x20);
});

test('the timer reaches pin 2 of the IOAPIC (MADT interrupt source override), and no other', () => {
  const pc = boardOf();
  startTimer(pc);
  for (let pin = 0; pin < 24; pin++) pc.redirect(pin, 0x40 + pin);
  pc.clock.advanceTo(1_500_000);
  expect(pc.messages.map(({ vector }) => vector)).toEqual([0x42]);
});

test.each([
  [
    'COM1',
    4,
    (pc: ReturnType<typeof boardOf>) => {
      pc.out(0x3fc, 8); // OUT2 lets the interrupt through
      pc.out(0x3f9, 2); // transmitter empty
    },
  ],
  [
    'the keyboard',
    1,
    (pc: ReturnType<typeof boardOf>) => {
      pc.out(0x64, 0x60);
      pc.out(0x60, 0x01); // interrupt enabled
      pc.out(0x60, 0xf4); // the keyboard acknowledges
    },
  ],
  [
    'the real-time clock',
    8,
    (pc: ReturnType<typeof boardOf>) => {
      pc.out(0x70, 0x0a);
      pc.out(0x71, 0x26);
      pc.out(0x70, 0x0b);
      pc.out(0x71, 0x42); // periodic
    },
  ],
] as const)('%s is wired to IRQ %i, on both controllers', (_name, irq, cause) => {
  const pc = boardOf();
  pc.initializePic(irq);
  pc.redirect(irq, 0x50 + irq);
  cause(pc);
  for (let ms = 1; ms <= 20; ms++) pc.clock.advanceTo(ms * 1_000_000);
  expect(pc.intr()).toBe(true);
  expect(pc.pic.acknowledge()).toBe(irq < 8 ? 0x20 + irq : 0x28 + irq - 8);
  expect(pc.messages[0]?.vector).toBe(0x50 + irq);
});

test('the end of a level-triggered interrupt goes back to the IOAPIC: a line that is still asserted interrupts again', () => {
  const pc = boardOf();
  pc.redirect(4, 0x54, 1 << 15);
  pc.out(0x3fc, 8); // OUT2 lets the interrupt through
  pc.out(0x3f9, 2);
  pc.clock.advanceTo(1_000_000);
  expect(pc.messages.length).toBe(1);
  pc.eoi(0x54);
  expect(pc.messages.length).toBe(2);
});

test('COM1 sends, port 0xE9 is the debug console', () => {
  const pc = boardOf();
  pc.out(0x3f8, 0x41);
  pc.clock.advanceTo(10_000_000);
  pc.out(0xe9, 0x42);
  expect(pc.sent).toEqual([0x41]);
  expect(pc.debug).toEqual([0x42]);
  expect(pc.in(0xe9)).toBe(0xe9);
});

test.each([
  ['debug-exit 0xF4: 2 * value + 1', { reason: 'power-off', status: 7 }, [[0xf4, 3]]],
  ['the word Shutdown at 0x8900', { reason: 'power-off', status: 0 }, [...'Shutdown'].map((letter) => [0x8900, letter.charCodeAt(0)])],
  ['the i8042, pulse of the reset line', { reason: 'reset' }, [[0x64, 0xfe]]],
  [
    'port 0xCF9',
    { reason: 'reset' },
    [
      [0xcf9, 2],
      [0xcf9, 6],
    ],
  ],
  ['port 0x92, bit 0', { reason: 'reset' }, [[0x92, 1]]],
] as const)('ends by %s', (_, end, writes) => {
  const pc = boardOf();
  for (const [port, value] of writes) pc.out(port as number, value as number);
  expect(pc.end()).toMatchObject(end);
});

test('the A20 gate is at port 0x92 and at the i8042', () => {
  const pc = boardOf();
  pc.out(0x92, 0);
  pc.out(0x92, 2);
  pc.out(0x64, 0xd1);
  pc.out(0x60, 0xdd);
  expect(pc.a20.at(-1)).toBe(false);
  expect(pc.a20).toContain(true);
});

test('CMOS tells the memory size: 15 MiB and more in 64 KiB units at 34H and 35H', () => {
  const pc = boardOf(64 * 2 ** 20);
  pc.out(0x70, 0x34);
  const low = pc.in(0x71);
  pc.out(0x70, 0x35);
  expect(low | (pc.in(0x71) << 8)).toBe((64 * 2 ** 20 - 16 * 2 ** 20) / 65536);
});

test('a port where nothing stands reads as ones', () => {
  expect(boardOf().in(0x1234)).toBe(0xff);
});
