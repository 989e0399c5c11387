import { expect, test } from 'vitest';
import { fetchedGuests } from '../guests/fetched.ts';
import { runExample } from './run-example.ts';

test('linux boots, answers, and powers off', { timeout: 900_000 }, async ({ skip }) => {
  const guests = await fetchedGuests();
  if (typeof guests === 'string') return skip(guests);
  const output = await runExample('linux', guests.kernel, guests.initrd);
  expect(output).toMatch(/\nLinux x86_64\r?\n1\r?\n/);
  expect(output).toMatch(/reason: 'power-off', status: 0/);
});
