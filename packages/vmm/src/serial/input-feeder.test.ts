import { ManualClock } from '@minusone/core';
import { Uart16550A } from '@minusone/devices';
import { expect, test } from 'vitest';
import { InputFeeder } from './input-feeder.ts';

const IER = 0x3f9;
const RBR = 0x3f8;
const LSR = 0x3fd;
const BYTE_NS = 86_806;
const SECOND_NS = 1_000_000_000;

/** A feeder with its UART, and a driver that reads when it is told to. */
function feederWith(text: string) {
  const clock = new ManualClock();
  const input = [...new TextEncoder().encode(text)];
  const uart = new Uart16550A({ clock, irq: { set: () => {} }, onTransmit: () => {}, onReceiveSpace: () => feeder?.wake() });
  let idle = 0;
  let feeder: InputFeeder | undefined;
  feeder = new InputFeeder(
    clock,
    uart,
    () => input.shift(),
    () => idle,
  );
  let received = '';
  return {
    clock,
    uart,
    feeder,
    enable: () => uart.writePort(IER, 1, 1),
    /** Lets time pass, a byte's time a step; the driver reads whatever is there, unless it sleeps, and may be idle in every step. */
    pass(ns: number, { reads = true, idles = false } = {}) {
      for (const end = clock.nowNs() + ns; clock.nowNs() < end; ) {
        clock.advanceTo(clock.nowNs() + BYTE_NS);
        while (reads && !uart.isReceiverEmpty) received += String.fromCharCode(uart.readPort(RBR, 1));
        if (idles) idle++;
      }
    },
    /** Reads LSR as a guest does that waits for a byte without an interrupt. */
    poll: () => {
      for (let i = 0; i < 100; i++) uart.readPort(LSR, 1);
    },
    get received() {
      return received;
    },
  };
}

test('nothing is sent before the guest has enabled its receive interrupt', () => {
  const machine = feederWith('ls');
  machine.feeder.wake();
  machine.pass(SECOND_NS, { idles: true });
  expect(machine.received).toBe('');
  machine.enable();
  machine.pass(SECOND_NS, { idles: true });
  expect(machine.received).toBe('ls');
});

test('a guest that polls for a byte, with nothing to send, gets it without an interrupt', () => {
  const machine = feederWith('ls');
  machine.feeder.wake();
  machine.poll();
  machine.pass(2 * BYTE_NS);
  expect(machine.received).toBe('ls');
});

test('a guest that reads LSR to send is not taken for one that polls for a byte', () => {
  const machine = feederWith('ls');
  machine.feeder.wake();
  for (let i = 0; i < 100; i++) {
    machine.uart.readPort(LSR, 1);
    machine.uart.writePort(RBR, 1, 65);
  }
  machine.pass(SECOND_NS);
  expect(machine.received).toBe('');
});

test('a guest that has just begun to listen gets nothing until it has been idle for a while: there may be nobody yet to read', () => {
  const machine = feederWith('ls');
  machine.enable();
  machine.feeder.wake();
  machine.pass(60_000_000, { idles: true });
  machine.pass(1_000_000);
  machine.pass(90_000_000, { idles: true });
  expect(machine.received).toBe('');
  machine.pass(20_000_000, { idles: true });
  expect(machine.received).toBe('ls');
});

test('bytes come one by one, no faster than a line of 115,200 baud', () => {
  const machine = feederWith('abcdefghij');
  machine.enable();
  machine.feeder.wake();
  while (machine.received === '') machine.pass(BYTE_NS, { idles: true });
  machine.pass(4 * BYTE_NS);
  expect(machine.received.length).toBeLessThanOrEqual(5);
  expect(machine.received.length).toBeGreaterThanOrEqual(2);
  machine.pass(50 * BYTE_NS);
  expect(machine.received).toBe('abcdefghij');
});

test('while the guest does not read, no second byte comes: none is lost', () => {
  const machine = feederWith('abc');
  machine.enable();
  machine.feeder.wake();
  machine.pass(2 * SECOND_NS, { reads: false });
  machine.pass(100 * BYTE_NS);
  expect(machine.received).toBe('abc');
  expect(machine.uart.readPort(LSR, 1) & 2, 'overrun').toBe(0);
});

test('after a line the next one waits until the guest has been idle for a while', () => {
  const machine = feederWith('one\ntwo\n');
  machine.enable();
  machine.feeder.wake();
  machine.pass(110_000_000, { idles: true });
  expect(machine.received).toBe('one\n');
  machine.pass(110_000_000, { idles: true });
  expect(machine.received).toBe('one\ntwo\n');
});

test('a guest that is never idle gets its next line after a second', () => {
  const machine = feederWith('one\rtwo');
  machine.enable();
  machine.feeder.wake();
  machine.pass(110_000_000, { idles: true });
  machine.pass(0.9 * SECOND_NS);
  expect(machine.received).toBe('one\r');
  machine.pass(0.2 * SECOND_NS);
  expect(machine.received).toBe('one\rtwo');
});

test('when all is fed the timer rests, and a wake starts it again', () => {
  const clock = new ManualClock();
  const input = [65];
  const uart = new Uart16550A({ clock, irq: { set: () => {} }, onTransmit: () => {} });
  const feeder = new InputFeeder(
    clock,
    uart,
    () => input.shift(),
    () => 0,
  );
  uart.writePort(IER, 1, 1);
  feeder.wake();
  clock.advanceTo(SECOND_NS + 10 * BYTE_NS);
  expect(uart.readPort(RBR, 1)).toBe(65);
  clock.advanceTo(SECOND_NS + 20 * BYTE_NS);
  expect(clock.nextDeadlineNs).toBe(Number.POSITIVE_INFINITY);
  input.push(66);
  feeder.wake();
  clock.advanceTo(SECOND_NS + 30 * BYTE_NS);
  expect(uart.readPort(RBR, 1)).toBe(66);
});
