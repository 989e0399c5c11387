import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { main } from 'minusone';
import { expect, test } from 'vitest';
import { ROOT } from '../../scripts/workspace.mjs';
import { memoryIo } from '../cli/memory-io.ts';
import { fetchedGuests } from './fetched.ts';

test('minusone guests prints where kernel, initramfs and busybox are', { timeout: 120_000 }, async ({ skip }) => {
  const guests = await fetchedGuests();
  if (typeof guests === 'string') return skip(guests);
  const io = memoryIo();
  expect(await main(['guests', '--cache', join(ROOT, '.cache/guests')], io)).toBe(0);
  const paths = Object.fromEntries([...io.stdout.matchAll(/^(\w+) +(.*)$/gm)].map(([, name, path]) => [name, path as string]));
  expect(Object.keys(paths)).toEqual(['kernel', 'initrd', 'busybox']);
  for (const path of Object.values(paths)) expect(existsSync(path)).toBe(true);
  expect(readFileSync(paths.kernel as string).toString('latin1', 0x202, 0x206), 'a bzImage: boot.rst, header').toBe('HdrS');
  expect(readFileSync(paths.busybox as string).toString('latin1', 0, 4), 'an ELF file').toBe('\x7fELF');
  expect(readFileSync(paths.initrd as string).toString('latin1', 0, 6), 'a cpio archive').toBe('070701');
});
