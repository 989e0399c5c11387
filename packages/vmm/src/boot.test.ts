import { asm16 } from '@minusone/asm';
import { InvalidArgumentError, MinusOneError } from '@minusone/core';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { bareCpu } from './bare-cpu.ts';
import { type BootOptions, boot } from './boot.ts';

const flat = { image: asm16`hlt`, address: 0x8000 };

test.each<[string, BootOptions, RegExp]>([
  ['nothing to boot', {}, /exactly one of kernel, flat and bios/],
  ['two things to boot', { flat, bios: new Uint8Array(65536) }, /exactly one of kernel, flat and bios/],
  ['no processor', { flat, cpus: 0 }, /1 to 64/],
  ['too many processors', { flat, cpus: 65 }, /1 to 64/],
  ['half a processor', { flat, cpus: 1.5 }, /1 to 64/],
  ['an unknown model', { flat, model: 'z80' }, /no CPU model 'z80'.*intel/],
  ['memory of no size', { flat, memory: 'lots' }, /not a memory size/],
  ['hardly any memory', { flat, memory: '64K' }, /not a memory size/],
  ['more memory than there can be', { flat, memory: '16G' }, /3\.5 GiB|memory/i],
  ['an empty kernel', { kernel: new Uint8Array(0) }, /./],
  ['a kernel of zeros', { kernel: new Uint8Array(65536) }, /./],
  ['a flat image beyond RAM', { flat: { image: asm16`hlt`, address: 0x80_0000 }, memory: '1M' }, /./],
  ['a flat image beyond real mode', { flat: { image: asm16`hlt`, address: 0x20_0000 }, memory: '4M' }, /./],
  ['firmware of an odd size', { bios: new Uint8Array(1000) }, /./],
])('%s is refused by a named error', async (_, options, message) => {
  const error = await boot({ memory: '2M', ...options }).catch((thrown) => thrown);
  expect(error).toBeInstanceOf(MinusOneError);
  expect(error.code).not.toBe('INTERNAL');
  expect(error.hint).not.toBe('');
  expect(error.message).toMatch(message);
});

test('an initrd larger than memory is refused', async () => {
  // A Multiboot 1 kernel: magic, flags, checksum; then code.
  const kernel = new Uint8Array(4096);
  const view = new DataView(kernel.buffer);
  const header = [0x1badb002, 0x10000, -(0x1badb002 + 0x10000) >>> 0, 0x10_0000, 0x10_0000, 0x10_1000, 0x10_1000, 0x10_0020];
  header.forEach((word, i) => {
    view.setUint32(4 * i, word, true);
  });
  await expect(boot({ kernel, initrd: new Uint8Array(5 * 2 ** 20), memory: '4M' })).rejects.toBeInstanceOf(MinusOneError);
});

test('whatever bytes are called a kernel, they are refused by a named error', async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 2000 }), async (kernel) => {
      const error = await boot({ kernel, memory: '2M' }).catch((thrown) => thrown);
      expect(error).toBeInstanceOf(MinusOneError);
      expect(error.code).not.toBe('INTERNAL');
    }),
    { numRuns: 30 },
  );
});

test('another accelerator is given the parts, and its processors are run', async () => {
  let made: { cpus: number; clock: string } | undefined;
  const machine = await boot({
    flat: {
      image: asm16`mov al, 1
      out 0xf4, al
      jmp $`,
      address: 0x8000,
    },
    memory: '1M',
    cpus: 3,
    accel: {
      name: 'mine',
      createProcessors: (parts) => {
        made = { cpus: parts.cpus, clock: parts.clock };
        return bareCpu.createProcessors(parts);
      },
    },
  });
  expect(await machine.ended).toEqual({ reason: 'power-off', status: 3 });
  expect(made).toEqual({ cpus: 3, clock: 'virtual' });
});

test('mistakes in the arguments are InvalidArgumentError', async () => {
  await expect(boot({})).rejects.toBeInstanceOf(InvalidArgumentError);
});
