import { ManualClock } from '@minusone/core';
import { expect, test } from 'vitest';
import { writeCmosMemorySize } from './cmos-memory-size.ts';
import { Mc146818, type Mc146818Options } from './mc146818.ts';

const [A, B, C, D] = [0x0a, 0x0b, 0x0c, 0x0d];
const SECOND = 1e9;

function make(start: string, options: Partial<Mc146818Options> = {}) {
  const clock = new ManualClock();
  const irq = {
    level: false,
    set(asserted: boolean) {
      irq.level = asserted;
    },
  };
  const rtc = new Mc146818({ clock, irq, startEpochSeconds: Date.parse(start) / 1000, ...options });
  const get = (index: number) => {
    rtc.writePort(0x70, 1, index);
    return rtc.readPort(0x71, 1);
  };
  const put = (index: number, value: number) => {
    rtc.writePort(0x70, 1, index);
    rtc.writePort(0x71, 1, value);
  };
  const time = () => [0x32, 9, 8, 7, 4, 2, 0].map((index) => get(index).toString(16).padStart(2, '0')).join(' ');
  return { clock, irq, rtc, get, put, time };
}

test('the time is BCD, 24 hours, with the century at 0x32 and Sunday as day 1; it advances with the clock', () => {
  const { clock, get, time } = make('2023-12-31T23:59:58Z');
  expect([time(), get(6)]).toEqual(['20 23 12 31 23 59 58', 1]);
  clock.advanceTo(2 * SECOND - 1);
  expect(time()).toBe('20 23 12 31 23 59 59');
  clock.advanceTo(2 * SECOND);
  expect([time(), get(6)]).toEqual(['20 24 01 01 00 00 00', 2]);
});

test('leap years, and a century that turns', () => {
  const leap = make('2024-02-28T23:59:59Z');
  leap.clock.advanceTo(SECOND);
  expect(leap.time()).toBe('20 24 02 29 00 00 00');
  const turn = make('1999-12-31T23:59:59Z');
  turn.clock.advanceTo(SECOND);
  expect(turn.time()).toBe('20 00 01 01 00 00 00');
});

test('binary and 12-hour formats: DM and 24/12 say how bytes are read and advanced; midnight is 12 AM', () => {
  const { clock, get, put } = make('2024-01-01T00:00:00Z');
  put(B, 0x84); // SET, binary, 12 hours
  put(4, 0x80 | 11);
  put(2, 59);
  put(0, 59);
  put(B, 0x04);
  clock.advanceTo(SECOND);
  expect([get(4), get(2), get(0)]).toEqual([12, 0, 0]);
  put(B, 0x80);
  put(4, 0x11);
  put(2, 0x59);
  put(0, 0x59);
  put(B, 0x00);
  clock.advanceTo(2 * SECOND);
  expect([get(4), get(2), get(0)]).toEqual([0x92, 0, 0]); // 12 PM
});

test('UIP rises 2228 microseconds before the time changes, and falls with it (update cycle)', () => {
  const { clock, get } = make('2024-01-01T00:00:00Z');
  clock.advanceTo(SECOND - 2_228_001);
  expect(get(A)).toBe(0x26);
  clock.advanceTo(SECOND - 2_228_000);
  expect(get(A)).toBe(0xa6);
  clock.advanceTo(SECOND);
  expect([get(A), get(0)]).toEqual([0x26, 1]);
});

test('SET stops the time and clears UIE, the divider runs on; divider reset restarts it half a second before the next update', () => {
  const { clock, get, put } = make('2024-01-01T00:00:00Z');
  put(B, 0x12);
  put(B, 0x92);
  expect(get(B)).toBe(0x82);
  clock.advanceTo(5.5 * SECOND);
  expect([get(0), get(A) & 0x80]).toEqual([0, 0]);
  put(B, 0x02);
  clock.advanceTo(6 * SECOND);
  expect(get(0)).toBe(1);
  put(A, 0x70);
  clock.advanceTo(9.25 * SECOND);
  expect(get(0)).toBe(1);
  put(A, 0x26);
  clock.advanceTo(9.75 * SECOND - 1);
  expect(get(0)).toBe(1);
  clock.advanceTo(9.75 * SECOND);
  expect(get(0)).toBe(2);
});

test('update-ended interrupt: UF and IRQF at each update, IRQ 8 held until register C is read', () => {
  const { clock, irq, get, put } = make('2024-01-01T00:00:00Z');
  put(B, 0x12);
  clock.advanceTo(SECOND - 1);
  expect(irq.level).toBe(false);
  clock.advanceTo(SECOND);
  expect(irq.level).toBe(true);
  expect([get(C) & 0xb0, irq.level, get(C)]).toEqual([0x90, false, 0]);
  clock.advanceTo(2 * SECOND);
  expect(irq.level).toBe(true);
});

test('flags rise without their enable bits, but raise no interrupt', () => {
  const { clock, irq, get } = make('2024-01-01T00:00:00Z');
  clock.advanceTo(SECOND);
  expect([irq.level, get(C)]).toEqual([false, 0x50]);
});

test('alarm interrupt at the time of the three alarm bytes; 0xC0 to 0xFF match always', () => {
  const { clock, irq, get, put } = make('2024-01-01T22:00:00Z');
  put(1, 0x30);
  put(3, 0x15);
  put(5, 0x01); // tomorrow, 01:15:30
  put(B, 0x22);
  const due = (3 * 3600 + 15 * 60 + 30) * SECOND;
  clock.advanceTo(due - 1);
  expect(irq.level).toBe(false);
  clock.advanceTo(due);
  expect([irq.level, get(C) & 0xa0]).toEqual([true, 0xa0]);
  put(5, 0xff);
  put(3, 0xc0); // each minute at second 30
  clock.advanceTo(due + 60 * SECOND - 1);
  expect(irq.level).toBe(false);
  clock.advanceTo(due + 60 * SECOND);
  expect(irq.level).toBe(true);
});

test.each([
  [1, 256],
  [2, 128],
  [3, 8192],
  [6, 1024],
  [15, 2],
])('periodic interrupt: rate select %i is %i Hz (register A)', (rate, hz) => {
  const { clock, irq, get, put } = make('2024-01-01T00:00:00Z');
  put(A, 0x20 | rate);
  put(B, 0x42);
  let interrupts = 0;
  while (clock.nextDeadlineNs <= SECOND) {
    clock.advanceTo(clock.nextDeadlineNs);
    if (irq.level) interrupts++;
    get(C);
  }
  expect(interrupts).toBe(hz);
});

test('rate select 0 is no periodic interrupt', () => {
  const { clock, put } = make('2024-01-01T00:00:00Z');
  put(A, 0x20);
  put(B, 0x42);
  expect(clock.nextDeadlineNs).toBe(Number.POSITIVE_INFINITY);
});

test('register D says that RAM and time are valid; C and D are read-only; bit 7 of the index masks NMI', () => {
  const masks: boolean[] = [];
  const { rtc, get, put } = make('2024-01-01T00:00:00Z', { onNmiMask: (masked) => masks.push(masked) });
  put(D, 0);
  expect([get(D), rtc.nmiMasked]).toEqual([0x80, false]);
  expect([get(0x80 | D), rtc.nmiMasked]).toEqual([0x80, true]);
  put(0x50, 0x5a);
  expect([get(0x50), masks]).toEqual([0x5a, [true, false]]);
});

test('CMOS tells firmware the memory size: 640 KiB base, KiB from 1 MiB, 64 KiB from 16 MiB and from 4 GiB, checksum over 0x10 to 0x2D', () => {
  const { rtc, get } = make('2024-01-01T00:00:00Z');
  writeCmosMemorySize(rtc, 512 * 2 ** 20, 2 ** 32);
  const word = (index: number) => get(index) | (get(index + 1) << 8);
  expect([word(0x15), word(0x17), word(0x30), word(0x34), word(0x5b), get(0x5d)]).toEqual([640, 0xffff, 0xffff, 496 * 16, 0, 1]);
  expect((get(0x2e) << 8) | get(0x2f)).toBe(0x80 + 0x02 + 0xff + 0xff);
  writeCmosMemorySize(rtc, 8 * 2 ** 20);
  expect([word(0x17), word(0x34)]).toEqual([7168, 0]);
});
