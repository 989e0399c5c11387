import { expect, test, vi } from 'vitest';
import { Power } from './power.ts';

test('the first end holds, and each one stops the processors', () => {
  const stop = vi.fn();
  const power = new Power(stop);
  expect(power.end).toBeUndefined();
  power.powerOff(3);
  power.reset('i8042');
  expect(power.end).toEqual({ reason: 'power-off', status: 3 });
  expect(stop).toHaveBeenCalledTimes(2);
});

test('a reset names who asked for it', () => {
  const power = new Power(() => {});
  power.reset('port 0xCF9');
  expect(power.end).toEqual({ reason: 'reset', by: 'port 0xCF9' });
});
