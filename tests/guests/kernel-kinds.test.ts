import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { main } from 'minusone';
import { afterAll, describe, expect, test } from 'vitest';
import { memoryIo } from '../cli/memory-io.ts';
import * as kernels from './small-kernels/index.ts';

const folder = mkdtempSync(join(tmpdir(), 'minusone-kernels-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function file(name: string, data: Uint8Array | string): string {
  writeFileSync(join(folder, name), data);
  return join(folder, name);
}

/** Status, and what was written, of a machine with 64 MiB. */
async function run(...args: string[]): Promise<{ status: number; out: string; err: string }> {
  const io = memoryIo();
  const status = await main(['run', '--memory', '64M', '--timeout', '20', ...args], io);
  return { status, out: io.stdout, err: io.stderr };
}

describe('--kernel tells every kind by itself, and hands over command line and initrd by its own protocol', () => {
  test.each([
    ['bzImage', kernels.bzImage()],
    ['PVH', kernels.elfPvh()],
    ['ELF64', kernels.elf64()],
    ['Multiboot', kernels.multiboot()],
    ['Multiboot', kernels.multibootElf()],
  ])('%s', async (kind, image) => {
    const images = ['--kernel', file('kernel', image), '--initrd', file('initrd', 'the initrd\0'), '--append', 'the command line'];
    expect(await run(...images)).toEqual({ status: 3, out: `${kind}\nthe command line\nthe initrd\n`, err: '' });
  });
});

describe('--flat FILE@ADDR starts in real mode at CS = ADDR >> 4, IP = ADDR & 15', () => {
  test.each([
    ['0x7c00', 0, 'AHMA'],
    ['0x600', 0, 'AAGA'],
    ['4660', 4, 'ABCD'], // 0x1234
    ['0x9000f', 15, 'JAAA'],
  ])('%s', async (address, ip, cs) => {
    expect(await run('--flat', `${file('flat', kernels.flat(ip))}@${address}`)).toEqual({ status: 3, out: `flat\n${cs}`, err: '' });
  });
});

describe('--bios stands below 4 GiB and, its last 128 KiB, below 1 MiB; it is read-only', () => {
  test.each([64, 128, 256])('%d KiB', async (kib) => {
    const image = new Uint8Array(kib * 1024);
    const last = kernels.bios();
    image.set(last, image.length - last.length);
    expect(await run('--bios', file('bios', image))).toEqual({ status: 3, out: 'BIOS\n', err: '' });
  });
});
