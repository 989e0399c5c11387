import { ManualClock } from '@minusone/core';
import { expect, test } from 'vitest';
import { AcpiPm, type AcpiPmOptions } from './acpi-pm.ts';

const [STATUS, ENABLE, CONTROL, TIMER] = [0x600, 0x602, 0x604, 0x608];

function make(options: Partial<AcpiPmOptions> = {}) {
  const clock = new ManualClock();
  const events: string[] = [];
  const sci = {
    level: false,
    set(asserted: boolean) {
      sci.level = asserted;
    },
  };
  const power = { powerOff: (status: number) => events.push(`off ${status}`), reset: () => {} };
  return { clock, events, sci, pm: new AcpiPm({ clock, power, sci, ...options }) };
}

test('SLP_TYP of S5 with SLP_EN turns the machine off; another SLP_TYP, or no SLP_EN, does not', () => {
  const { pm, events } = make();
  expect(pm.readPort(CONTROL, 2)).toBe(1);
  pm.writePort(CONTROL, 2, (5 << 10) | 1);
  pm.writePort(CONTROL, 2, (3 << 10) | 0x2001);
  expect(events).toEqual([]);
  pm.writePort(CONTROL, 2, (5 << 10) | 0x2001); // as Linux: first SLP_TYP, then both
  expect([events, pm.readPort(CONTROL, 2)]).toEqual([['off 0'], (5 << 10) | 1]);
});

test('the timer counts 3.579545 MHz in 32 or 24 bits, exact in any width of access', () => {
  const { clock, pm } = make();
  clock.advanceTo(1e9);
  expect(pm.readPort(TIMER, 4)).toBe(3_579_545);
  expect([pm.readPort(TIMER, 1), pm.readPort(TIMER + 2, 2)]).toEqual([3_579_545 & 0xff, 3_579_545 >>> 16]);
  const narrow = make({ timerBits: 24 });
  narrow.clock.advanceTo(10e9);
  expect(narrow.pm.readPort(TIMER, 4)).toBe(35_795_454 - 2 * 2 ** 24);
});

test('TMR_STS rises when bit 23 toggles, with an SCI if enabled; writing 1 clears it (ACPI 4.8.3.1)', () => {
  const { clock, pm, sci } = make({ timerBits: 24 });
  pm.writePort(ENABLE, 2, 0x0001);
  const half = Math.ceil((2 ** 23 * 88000) / 315);
  clock.advanceTo(half - 1);
  expect([sci.level, pm.readPort(STATUS, 2)]).toEqual([false, 0]);
  clock.advanceTo(half);
  expect([sci.level, pm.readPort(STATUS, 2)]).toEqual([true, 1]);
  pm.writePort(STATUS, 2, 1);
  expect([sci.level, pm.readPort(STATUS, 2)]).toEqual([false, 0]);
  clock.advanceTo(2 * half);
  expect(sci.level).toBe(true);
});

test('the power button sets PWRBTN_STS; SCI follows enable and SCI_EN', () => {
  const { pm, sci } = make({ sciEnabled: false });
  pm.pressPowerButton();
  pm.writePort(STATUS, 4, 0x0100_0000); // PM1_EN in the upper half
  expect([pm.readPort(STATUS, 4), sci.level]).toEqual([0x0100_0100, false]);
  pm.setSciEnabled(true);
  expect(sci.level).toBe(true);
  pm.writePort(STATUS + 1, 1, 0x01);
  expect([pm.readPort(STATUS, 2), sci.level]).toEqual([0, false]);
});
