import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { fetchedGuests } from '../guests/fetched.ts';
import { bootInLockstep } from './lockstep-boot.ts';

/** Minutes: from the kernel's decompressor, some 94 million instructions, into its start, timer interrupts included. */
const INSTRUCTIONS = 200_000_000;

test('200 million instructions of a Linux boot: JIT and interpreter agree wherever a region is left', { timeout: 3_600_000 }, async ({
  skip,
}) => {
  const guests = await fetchedGuests();
  if (typeof guests === 'string') return skip(guests);
  const images = { kernel: readFileSync(guests.kernel), initrd: readFileSync(guests.initrd) };
  const result = await bootInLockstep({ ...images, commandLine: 'console=ttyS0', memory: '512M' }, INSTRUCTIONS);
  expect(result.instructions).toBeGreaterThanOrEqual(INSTRUCTIONS);
  expect(result.instructionsInRegions / result.instructions).toBeGreaterThan(0.8);
  expect(result.comparisons).toBeGreaterThan(1_000_000);
  expect(result.interrupts).toBeGreaterThan(0);
});
