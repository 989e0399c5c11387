import { ManualClock } from '@minusone/core';
import { Uart16550A } from '@minusone/devices';
import { expect, test } from 'vitest';
import { InputFeeder } from './input-feeder.ts';

const IER = 0x3f9;
const RBR = 0x3f8;
const LSR = 0x3fd;
const BYTE_NS = 86_806;

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
    beIdle: () => idle++,
    /** Lets time pass, a byte's time a step; the driver reads whatever is there, unless it sleeps. */
    pass(ns: number, driverReads = true) {
      for (const end = clock.nowNs() + ns; clock.nowNs() < end; ) {
        clock.advanceTo(clock.nowNs() + BYTE_NS);
        while (driverReads && (uart.readPort(LSR, 1) & 1) !== 0) received += String.fromCharCode(uart.readPort(RBR, 1));
      }
    },
    get received() {
      return received;
    },
  };
}

test('nothing is sent before the guest has enabled its receive interrupt', () => {
  const { feeder, pass, enable, ...rest } = feederWith('ls');
  feeder.wake();
  pass(50 * BYTE_NS);
  expect(rest.received).toBe('');
  enable();
  pass(50 * BYTE_NS);
});

test('bytes come one by one, no faster than a line of 115,200 baud', () => {
  const machine = feederWith('abcdefghij');
  machine.enable();
  machine.feeder.wake();
  machine.pass(5 * BYTE_NS);
  expect(machine.received.length).toBeLessThanOrEqual(5);
  expect(machine.received.length).toBeGreaterThanOrEqual(2);
  machine.pass(50 * BYTE_NS);
  expect(machine.received).toBe('abcdefghij');
});

test('while the guest does not read, no second byte comes: none is lost', () => {
  const machine = feederWith('abc');
  machine.enable();
  machine.feeder.wake();
  machine.pass(100 * BYTE_NS, false);
  machine.pass(100 * BYTE_NS);
  expect(machine.received).toBe('abc');
  expect(machine.uart.readPort(LSR, 1) & 2, 'overrun').toBe(0);
});

test('after a line the next one waits until the guest has been idle', () => {
  const machine = feederWith('one\ntwo\n');
  machine.enable();
  machine.feeder.wake();
  machine.pass(100 * BYTE_NS);
  expect(machine.received).toBe('one\n');
  machine.beIdle();
  machine.pass(100 * BYTE_NS);
  expect(machine.received).toBe('one\ntwo\n');
});

test('a guest that is never idle gets its next line after 0.2 seconds', () => {
  const machine = feederWith('one\rtwo');
  machine.enable();
  machine.feeder.wake();
  machine.pass(150_000_000);
  expect(machine.received).toBe('one\r');
  machine.pass(100_000_000);
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
  clock.advanceTo(10 * BYTE_NS);
  expect(uart.readPort(RBR, 1)).toBe(65);
  clock.advanceTo(20 * BYTE_NS);
  expect(clock.nextDeadlineNs).toBe(Number.POSITIVE_INFINITY);
  input.push(66);
  feeder.wake();
  clock.advanceTo(30 * BYTE_NS);
  expect(uart.readPort(RBR, 1)).toBe(66);
});
