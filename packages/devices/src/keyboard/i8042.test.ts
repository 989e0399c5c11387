import { ManualClock } from '@minusone/core';
import { expect, test } from 'vitest';
import { I8042 } from './i8042.ts';
import { keyBytes, SCAN_CODES_SET_2 } from './scan-codes.ts';

const BYTE = 1_000_000;

function make(options: { mouse?: boolean } = {}) {
  const clock = new ManualClock();
  const resets: string[] = [];
  const a20: boolean[] = [];
  const lamps: number[] = [];
  const wire = () => {
    const line = {
      level: false,
      rises: 0,
      set(asserted: boolean) {
        if (asserted && !line.level) line.rises++;
        line.level = asserted;
      },
    };
    return line;
  };
  const irq1 = wire();
  const irq12 = wire();
  const controller = new I8042({
    clock,
    keyboardIrq: irq1,
    ...(options.mouse && { mouseIrq: irq12 }),
    power: { powerOff() {}, reset: (by) => resets.push(by) },
    onA20: (enabled) => a20.push(enabled),
    onIndicators: (indicators) => lamps.push(indicators),
  });
  const status = () => controller.readPort(0x64, 1);
  const data = () => controller.readPort(0x60, 1);
  const command = (value: number, argument?: number) => {
    controller.writePort(0x64, 1, value);
    if (argument !== undefined) controller.writePort(0x60, 1, argument);
  };
  const send = (value: number) => controller.writePort(0x60, 1, value);
  /** Reads what comes until the controller is silent. */
  const drain = () => {
    const bytes: number[] = [];
    for (;;) {
      if ((status() & 1) !== 0) bytes.push(data());
      else if (clock.nextDeadlineNs - clock.nowNs() <= BYTE) clock.advanceTo(clock.nextDeadlineNs);
      else return bytes;
    }
  };
  return { clock, controller, irq1, irq12, resets, a20, lamps, status, data, command, send, drain };
}

test('self test gives 0x55 and sets SYS; interface tests give 0; status bit 3 tells command from data', () => {
  const { status, data, command, send, drain } = make();
  expect(status()).toBe(0x10);
  command(0xaa);
  expect([status(), data(), status()]).toEqual([0x1d, 0x55, 0x1c]);
  command(0xab);
  expect(data()).toBe(0x00);
  send(0xee);
  expect([status() & 0x08, drain()]).toEqual([0, [0xee]]);
});

test('a reply that finds the output buffer full follows when it is read, with an edge of its own on IRQ 1', () => {
  const { irq1, command, data } = make();
  command(0xd2, 0x11);
  command(0xd2, 0x22);
  expect([irq1.rises, data(), irq1.rises, data(), irq1.level]).toEqual([1, 0x11, 2, 0x22, false]);
});

test('command byte and RAM are written by 0x60 to 0x7F and read by 0x20 to 0x3F', () => {
  const { data, command } = make();
  command(0x60, 0x47);
  command(0x20);
  expect(data()).toBe(0x47);
  command(0x65, 0x99);
  command(0x25);
  expect(data()).toBe(0x99);
});

test('a key is translated to set 1, one byte a millisecond, each with its own edge on IRQ 1; reading the byte again gives the same', () => {
  const { clock, controller, irq1, status, data } = make();
  controller.keyboard.pressKey('KeyA');
  controller.keyboard.releaseKey('KeyA');
  expect(status() & 1).toBe(0);
  clock.advanceTo(BYTE);
  expect([irq1.level, data(), data(), irq1.level]).toEqual([true, 0x1e, 0x1e, false]);
  clock.advanceTo(4 * BYTE);
  expect([irq1.rises, data()]).toEqual([2, 0x9e]);
});

test('without translation the processor sees set 2; extended keys, PrintScreen and Pause send their sequences', () => {
  const { command, controller, drain } = make();
  const { keyboard } = controller;
  keyboard.pressKey('ArrowUp');
  keyboard.releaseKey('ArrowUp');
  expect(drain()).toEqual([0xe0, 0x48, 0xe0, 0xc8]);
  keyboard.pressKey('Pause');
  expect(drain()).toEqual([0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5]);
  command(0x60, 0x01);
  keyboard.pressKey('PrintScreen');
  keyboard.releaseKey('PrintScreen');
  expect(drain()).toEqual([0xe0, 0x12, 0xe0, 0x7c, 0xe0, 0xf0, 0x7c, 0xe0, 0xf0, 0x12]);
});

test('set 1 from the keyboard itself is the same as set 2 translated, for every key', () => {
  for (const key of Object.keys(SCAN_CODES_SET_2)) {
    const translated = make();
    translated.controller.keyboard.pressKey(key);
    translated.controller.keyboard.releaseKey(key);
    expect(translated.drain()).toEqual([...(keyBytes(key, true, 1) ?? []), ...(keyBytes(key, false, 1) ?? [])]);
  }
  expect(keyBytes('F7', true, 1)).toEqual([0x41]);
  expect(keyBytes('Enter', false, 1)).toEqual([0x9c]);
});

test('keyboard commands: reset, identify, echo, lamps, typematic, scan code set, resend, unknown', () => {
  const { send, drain, lamps } = make();
  send(0xff);
  expect(drain()).toEqual([0xfa, 0xaa]);
  send(0xf2);
  expect(drain()).toEqual([0xfa, 0xab, 0x41]); // 0x83, translated
  send(0xed);
  expect(drain()).toEqual([0xfa]);
  send(0x05);
  expect([drain(), lamps]).toEqual([[0xfa], [0, 5]]);
  send(0xf3);
  send(0x20);
  expect(drain()).toEqual([0xfa]); // the second acknowledgement replaced the first, unread one
  send(0xf0);
  drain();
  send(0x00);
  expect(drain()).toEqual([0xfa, 0x41]); // 2, translated
  send(0xf0);
  drain();
  send(0x03);
  expect(drain()).toEqual([0xfe]);
  send(0xee);
  expect(drain()).toEqual([0xee]);
  send(0xfe);
  expect(drain()).toEqual([0xee]);
  send(0x99);
  expect(drain()).toEqual([0xfe]);
});

test('0xF5 stops scanning, 0xF4 starts it; a disabled interface holds keys back until it is enabled', () => {
  const { controller, send, command, drain } = make();
  send(0xf5);
  drain();
  controller.keyboard.pressKey('KeyB');
  controller.keyboard.releaseKey('KeyB');
  expect(drain()).toEqual([]);
  send(0xf4);
  expect(drain()).toEqual([0xfa]);
  command(0xad);
  controller.keyboard.pressKey('KeyC');
  expect(drain()).toEqual([]);
  command(0xae);
  expect(drain()).toEqual([0x2e]);
});

test('typematic: a key that stays down repeats after 500 ms, 10.9 times a second, until it is released', () => {
  const { clock, controller, drain } = make();
  controller.keyboard.pressKey('KeyX');
  drain();
  clock.advanceTo(498 * BYTE);
  expect(drain()).toEqual([]);
  clock.advanceTo(1500 * BYTE);
  // the buffer waits for its reader: count presses by reading steadily
  let repeats = drain().length;
  const end = clock.nowNs() + 1e9;
  while (clock.nextDeadlineNs < end) {
    clock.advanceTo(clock.nextDeadlineNs);
    repeats += drain().length;
  }
  expect(repeats).toBeGreaterThanOrEqual(20);
  expect(repeats).toBeLessThanOrEqual(24);
  controller.keyboard.releaseKey('KeyX');
  expect(drain()).toEqual([0xad]);
  clock.advanceTo(clock.nowNs() + 2e9);
  expect(drain()).toEqual([]);
});

test('the keyboard holds 16 bytes; what does not fit is told to the host, and to the guest as overrun', () => {
  const { controller, command, drain } = make();
  command(0xad);
  const accepted = ['KeyA', 'KeyB', 'KeyC', 'KeyD', 'KeyE', 'KeyF'].map(
    (key) => controller.keyboard.pressKey(key) && controller.keyboard.releaseKey(key),
  );
  expect(accepted).toEqual([true, true, true, true, true, false]);
  command(0xae);
  expect(drain().slice(-1)).toEqual([0xff]); // overrun code 0, translated
  expect(() => controller.keyboard.pressKey('Any')).toThrow(/no key 'Any'/);
});

test('A20 by output port and by 0xDD and 0xDF; the output port reads back', () => {
  const { a20, command, data } = make();
  command(0xd1, 0xdd);
  expect(a20).toEqual([false]);
  command(0xd0);
  expect(data() & 0x03).toBe(0x01);
  command(0xdf);
  command(0xdf); // told again: port 0x92 may have moved the gate
  command(0xdd);
  expect(a20).toEqual([false, true, true, false]);
});

test('reset by pulse (0xFE) and by output port bit 0; 0xFF pulses nothing', () => {
  const { resets, command } = make();
  command(0xff);
  expect(resets).toEqual([]);
  command(0xfe);
  command(0xd1, 0x02);
  expect(resets).toEqual(['i8042', 'i8042']);
});

test("without an auxiliary port Linux's probe sees so at once: the loop byte comes back without the AUX bit, the test fails", () => {
  const { command, data, status } = make();
  command(0xd3, 0x5a);
  expect([status() & 0x21, data()]).toEqual([0x01, 0x5a]);
  command(0xa9);
  expect(data()).not.toBe(0);
  command(0xd4, 0xf2);
  expect([status() & 0x40, data()]).toEqual([0x40, 0xfe]);
});

test("with one, Linux's probe passes: loop, test, disable and enable by command byte, IRQ 12", () => {
  const { command, data, status, irq12 } = make({ mouse: true });
  command(0xd3, 0x5a);
  expect([status() & 0x21, data()]).toEqual([0x21, 0x5a]);
  command(0xa9);
  expect(data()).toBe(0);
  command(0xa7);
  command(0x20);
  expect(data() & 0x20).toBe(0x20);
  command(0xa8);
  command(0x20);
  expect(data() & 0x20).toBe(0);
  command(0x60, 0x47);
  command(0xd3, 0xa5);
  expect([irq12.rises, status() & 0x20, data()]).toEqual([1, 0x20, 0xa5]);
});

test('mouse: reset, identify, enable, movement reports with sign bits, the wheel by its knock', () => {
  const { controller, command, drain } = make({ mouse: true });
  const { mouse } = controller;
  command(0xd4, 0xff);
  expect(drain()).toEqual([0xfa, 0xaa, 0x00]);
  command(0xd4, 0xf4);
  expect(drain()).toEqual([0xfa]);
  mouse?.move(5, -3, 0, 1);
  expect(drain()).toEqual([0x29, 5, 0xfd]);
  mouse?.move(300, 0);
  expect(drain()).toEqual([0x09, 255, 0, 0x09, 45, 0]);
  for (const byte of [0xf3, 200, 0xf3, 100, 0xf3, 80]) {
    command(0xd4, byte);
    expect(drain()).toEqual([0xfa]);
  }
  command(0xd4, 0xf2);
  expect(drain()).toEqual([0xfa, 3]);
  mouse?.move(0, 0, -1, 0);
  expect(drain()).toEqual([0x08, 0, 0, 0xff]);
  command(0xd4, 0xe9);
  expect(drain()).toEqual([0xfa, 0x20, 2, 80]);
});
