import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { fetchedGuests } from '../guests/fetched.ts';
import { bootInLockstep } from './lockstep-boot.ts';

/** Enough for the decompressor and the first steps of the kernel; `linux.long.test.ts` goes on. */
const INSTRUCTIONS = 72_000_000;

test('the start of a Linux boot: JIT and interpreter agree wherever a region is left', { timeout: 600_000 }, async ({ skip }) => {
  const guests = await fetchedGuests();
  if (typeof guests === 'string') return skip(guests);
  const images = { kernel: readFileSync(guests.kernel), initrd: readFileSync(guests.initrd) };
  const result = await bootInLockstep({ ...images, commandLine: 'console=ttyS0', memory: '512M' }, INSTRUCTIONS);
  expect(result.instructions).toBeGreaterThanOrEqual(INSTRUCTIONS);
  expect(result.instructionsInRegions / result.instructions).toBeGreaterThan(0.8);
});
