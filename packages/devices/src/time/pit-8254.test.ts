import { ManualClock } from '@minusone/core';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Pit8254 } from './pit-8254.ts';
import { PitCounter } from './pit-counter.ts';
import { SystemControlPortB } from './system-control-port-b.ts';
import { PIT_RATE, PM_TIMER_RATE, RTC_RATE } from './tick-rate.ts';

/** OUT after each of `pulses` clock pulses, as the waveforms of the data sheet draw it: `-` high, `_` low. */
function wave(counter: PitCounter, pulses: number): string {
  let drawn = '';
  for (let pulse = 0; pulse < pulses; pulse++) {
    counter.advance(1);
    drawn += counter.out ? '-' : '_';
  }
  return drawn;
}

function programmed(mode: number, count: number, gate = true): PitCounter {
  const counter = new PitCounter(gate);
  counter.writeControl(0x30 | (mode << 1));
  counter.writeCount(count & 0xff);
  counter.writeCount(count >>> 8);
  return counter;
}

const low = (counter: PitCounter) => {
  counter.latchCount();
  return counter.read() | (counter.read() << 8);
};

test('mode 0: OUT rises N + 1 pulses after the count was written; counting goes on from 0xFFFF; GATE 0 holds it', () => {
  const counter = programmed(0, 4);
  expect(counter.out).toBe(false);
  expect(wave(counter, 8)).toBe('____----');
  expect(low(counter)).toBe(0xfffd);
  const gated = programmed(0, 4, false);
  expect(wave(gated, 6)).toBe('______');
  gated.setGate(true);
  expect(wave(gated, 5)).toBe('___--');
  const short = new PitCounter(true);
  short.writeControl(0x10); // low byte only
  short.writeCount(2);
  expect(wave(short, 4)).toBe('__--');
  short.writeCount(2); // OUT falls at once
  expect([short.out, wave(short, 4)]).toEqual([false, '__--']);
  counter.writeCount(9); // the first byte stops it, and OUT falls
  expect([counter.out, wave(counter, 3), low(counter)]).toEqual([false, '___', 0xfffd]);
});

test('mode 1: a trigger makes one low pulse of N clocks, and is retriggerable', () => {
  const counter = programmed(1, 3, false);
  expect(wave(counter, 3)).toBe('---');
  counter.setGate(true);
  expect(wave(counter, 6)).toBe('___---');
  counter.setGate(false);
  counter.setGate(true);
  expect(wave(counter, 2)).toBe('__');
  counter.setGate(false);
  counter.setGate(true);
  expect(wave(counter, 5)).toBe('___--');
});

test('mode 2: low for one clock of N; a new count waits for the end of the cycle; GATE 0 raises OUT, its rise reloads', () => {
  const counter = programmed(2, 3);
  expect(wave(counter, 10)).toBe('--_--_--_-');
  counter.writeCount(5);
  counter.writeCount(0);
  expect(wave(counter, 8)).toBe('-_----_-');
  wave(counter, 2);
  counter.setGate(false);
  expect(wave(counter, 3)).toBe('---');
  counter.setGate(true);
  expect(wave(counter, 6)).toBe('----_-');
  wave(counter, 3);
  expect(wave(counter, 1)).toBe('_');
  counter.setGate(false);
  expect(counter.out).toBe(true); // at once, in the middle of the pulse
});

test('mode 3: square wave; odd counts are high for (N + 1) / 2; the element counts by two', () => {
  expect(wave(programmed(3, 4), 9)).toBe('--__--__-');
  expect(wave(programmed(3, 5), 11)).toBe('---__---__-');
  const counter = programmed(3, 5);
  const seen = Array.from({ length: 6 }, () => {
    counter.advance(1);
    return low(counter);
  });
  expect(seen).toEqual([4, 2, 0, 4, 2, 4]);
});

test('mode 4: strobe of one clock, N + 1 after writing, once; mode 5: N + 1 after the trigger', () => {
  expect(wave(programmed(4, 3), 8)).toBe('---_----');
  const hardware = programmed(5, 3, false);
  expect(wave(hardware, 5)).toBe('-----');
  hardware.setGate(true);
  expect(wave(hardware, 6)).toBe('---_--');
});

test('a latched count stays until it is read: a second latch command has no effect; then the living count is read', () => {
  const counter = programmed(2, 100);
  counter.advance(11);
  counter.latchCount();
  counter.advance(20);
  counter.latchCount();
  expect([counter.read(), counter.read()]).toEqual([90, 0]);
  expect([counter.read(), counter.read()]).toEqual([70, 0]);
});

test('a count of 0 is 65536, or 10000 in BCD; the element reads in BCD', () => {
  const counter = programmed(2, 0);
  counter.advance(2);
  expect(low(counter)).toBe(0xffff);
  const bcd = new PitCounter(true);
  bcd.writeControl(0x35);
  bcd.writeCount(0);
  bcd.writeCount(0);
  bcd.advance(2);
  expect(low(bcd)).toBe(0x9999);
});

test('many pulses at once are the same as one by one, in every mode, with every count and gate', () => {
  const step = fc.record({ pulses: fc.nat(40), count: fc.option(fc.integer({ min: 0, max: 12 })), gate: fc.option(fc.boolean()) });
  fc.assert(
    fc.property(fc.nat(5), fc.boolean(), fc.array(step, { maxLength: 12 }), (mode, bcd, steps) => {
      const [one, many] = [new PitCounter(true), new PitCounter(true)];
      for (const counter of [one, many]) counter.writeControl(0x10 | (mode << 1) | (bcd ? 1 : 0));
      for (const { pulses, count, gate } of steps) {
        for (const counter of [one, many]) {
          if (count !== null) counter.writeCount(count);
          if (gate !== null) counter.setGate(gate);
        }
        const planned = many.pulsesToChange;
        const before = one.out;
        let sawLow = !before;
        let firstChange = Number.POSITIVE_INFINITY;
        for (let pulse = 1; pulse <= pulses; pulse++) {
          one.advance(1);
          if (one.out !== before) firstChange = Math.min(firstChange, pulse);
          sawLow ||= !one.out;
        }
        expect(many.advance(pulses)).toBe(sawLow);
        expect(many.save()).toEqual(one.save());
        expect(firstChange).toBeGreaterThanOrEqual(planned); // never a change that was not planned for
      }
    }),
  );
});

function pc() {
  const clock = new ManualClock();
  const edges: string[] = [];
  const irq0 = {
    level: false,
    set(asserted: boolean) {
      if (asserted !== irq0.level) edges.push(`${asserted ? '+' : '-'}${clock.nowNs()}`);
      irq0.level = asserted;
    },
  };
  const pit = new Pit8254({ clock, outputs: [irq0] });
  const portB = new SystemControlPortB({ clock, pit });
  const outb = (port: number, value: number) => (port === 0x61 ? portB : pit).writePort(port, 1, value);
  const inb = (port: number) => (port === 0x61 ? portB : pit).readPort(port, 1);
  return { clock, edges, pit, outb, inb };
}

test('counter 0 in mode 2 gives IRQ 0 an edge each N pulses of 105/88 MHz, to the nanosecond', () => {
  const { clock, edges, outb } = pc();
  outb(0x43, 0x34);
  outb(0x40, 0xa9);
  outb(0x40, 0x04); // 1193
  clock.advanceTo(2_900_000);
  // loaded by pulse 1, low at 1 + 1192, high at 1 + 1193; nanoseconds are pulses * 88000 / 105, rounded up
  const at = (pulse: number) => Math.ceil((pulse * 88000) / 105);
  expect(edges).toEqual(['+0', `-${at(1193)}`, `+${at(1194)}`, `-${at(2386)}`, `+${at(2387)}`]);
});

test('a clock that comes late still gives one edge', () => {
  const { edges, outb, pit } = (() => {
    let now = 0;
    const edges: string[] = [];
    const clock = { nowNs: () => (now += 10_000_000), createTimer: () => ({ arm() {}, cancel() {}, deadlineNs: undefined }) };
    const pit = new Pit8254({ clock, outputs: [{ set: (level) => edges.push(String(level)) }] });
    return { edges, pit, outb: (port: number, value: number) => pit.writePort(port, 1, value) };
  })();
  outb(0x43, 0x34);
  outb(0x40, 0xa9);
  outb(0x40, 0x04);
  edges.length = 0;
  pit.out(0);
  expect(edges.slice(0, 2)).toEqual(['false', 'true']);
});

test('the read-back command latches status and count; status comes first; null count tells that the count is not loaded yet', () => {
  const { clock, outb, inb } = pc();
  outb(0x43, 0x34);
  outb(0x40, 0x10);
  outb(0x40, 0x00);
  outb(0x43, 0xe2); // status of counter 0
  expect(inb(0x40)).toBe(0x80 | 0x40 | 0x34);
  clock.advanceTo(PIT_RATE.nsOf(4));
  outb(0x43, 0xc2); // both
  clock.advanceTo(PIT_RATE.nsOf(9));
  expect([inb(0x40), inb(0x40), inb(0x40)]).toEqual([0x80 | 0x34, 0x0d, 0x00]);
});

test("Linux's and SeaBIOS's calibration: counter 2 in mode 0 behind port 0x61, bit 5 rises when the time is over", () => {
  const { clock, outb, inb } = pc();
  outb(0x61, (inb(0x61) & ~0x02) | 0x01);
  outb(0x43, 0xb0);
  outb(0x42, 0x9b);
  outb(0x42, 0x2e); // 11931: 10 ms
  expect(inb(0x61) & 0x20).toBe(0);
  clock.advanceTo(PIT_RATE.nsOf(11931));
  expect(inb(0x61) & 0x20).toBe(0);
  clock.advanceTo(PIT_RATE.nsOf(11932));
  expect(inb(0x61) & 0x23).toBe(0x21);
});

test('port 0x61 bit 4 toggles with each refresh request, about every 15 microseconds', () => {
  const { clock, inb } = pc();
  const bits = Array.from({ length: 6 }, (_, at) => {
    clock.advanceTo(at * 15_086 + 100);
    return inb(0x61) & 0x10;
  });
  expect(bits).toEqual([0, 0x10, 0, 0x10, 0, 0x10]);
});

test('rates are exact: a day of the PIT, the PM timer and the watch crystal, and nsOf is the inverse of ticksAt', () => {
  const day = 86_400 * 1e9;
  expect(PIT_RATE.ticksAt(day)).toBe(Number((BigInt(day) * 105n) / 88000n));
  expect(PM_TIMER_RATE.ticksAt(day)).toBe(Number((BigInt(day) * 315n) / 88000n));
  expect(RTC_RATE.ticksAt(day)).toBe(86_400 * 32_768);
  fc.assert(
    fc.property(fc.constantFrom(PIT_RATE, PM_TIMER_RATE, RTC_RATE), fc.nat(2 ** 31 - 1), fc.nat(2 ** 16), (rate, low, high) => {
      const tick = low + high * 2 ** 20;
      const ns = rate.nsOf(tick);
      expect(rate.ticksAt(ns)).toBe(tick);
      if (ns > 0) expect(rate.ticksAt(ns - 1)).toBe(tick - 1);
    }),
  );
});
