import { expect, test } from 'vitest';
import { manyRegions } from './testing/many-regions.ts';

test('a million compiled regions leave memory bounded', { timeout: 3_600_000 }, () => {
  const { cpu, run } = manyRegions({ maxRegions: 1024 });
  const megabytes: number[] = [];
  for (let part = 0; part < 20; part++) {
    run(50_000);
    megabytes.push(process.memoryUsage().rss / 2 ** 20);
  }
  expect(cpu.engine.statistics.regionsCompiled).toBeGreaterThanOrEqual(1_000_000);
  expect(cpu.gpr(0)).toBe(20n * 50_001n);
  // The second half needs no more than the first did.
  expect(Math.max(...megabytes.slice(10)) - Math.max(...megabytes.slice(0, 10))).toBeLessThan(64);
});
