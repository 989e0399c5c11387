import { MinusOneError } from '@minusone/core';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { detectKernel } from './detect-kernel.ts';
import { ImageError, UnrecognizedImageError } from './errors.ts';
import { PlainRam } from './layout/plain-ram.ts';
import { loadKernel } from './load-kernel.ts';
import { ascii, concat } from './structure.ts';

const padded = (start: string | number[], length = 1024) => {
  const image = new Uint8Array(length).fill(0x80);
  image.set(typeof start === 'string' ? Uint8Array.from(start, (c) => c.charCodeAt(0)) : start);
  return image;
};
const at = (offset: number, bytes: number[], start: number[] = []) => {
  const image = padded(start);
  image.set(bytes, offset);
  return image;
};

test.each<[string, Uint8Array]>([
  ['an empty file', new Uint8Array(0)],
  ['gzip data', padded([0x1f, 0x8b])],
  ['zstd data', padded([0x28, 0xb5, 0x2f, 0xfd])],
  ['xz data', padded([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0])],
  ['a cpio archive (an initrd)', padded('070701')],
  ['an ar archive (a Debian package?)', padded('!<arch>\n')],
  ['text', ascii('#!/bin/sh\necho no kernel\n')],
  ['a PE file (EFI only)', padded('MZ')],
  ['an ARM64 Linux image', at(0x38, [0x41, 0x52, 0x4d, 0x64], [0x4d, 0x5a])],
  ['a boot sector', at(510, [0x55, 0xaa])],
  ['raw data', padded([])],
])('%s is named', (looksLike, image) => {
  try {
    detectKernel(image);
    expect.unreachable();
  } catch (error) {
    expect(error).toBeInstanceOf(UnrecognizedImageError);
    expect(error).toMatchObject({ code: 'IMAGE_UNRECOGNIZED', looksLike });
  }
});

test('a bzImage is told by "HdrS" at 0x202 (boot.rst), also where it is an EFI program too', () => {
  expect(detectKernel(at(0x202, [0x48, 0x64, 0x72, 0x53], [0x4d, 0x5a]))).toBe('bzImage');
});

test('an ELF file that cannot be loaded says why', () => {
  expect(() => detectKernel(concat(Uint8Array.of(0x7f, 0x45, 0x4c, 0x46, 2, 1, 1), new Uint8Array(20)))).toThrow(ImageError);
});

test('random bytes, whatever they start with, load or throw a MinusOneError', () => {
  const starts = ['', 'MZ', '\x7fELF\x01\x01\x01', '\x7fELF\x02\x01\x01', '\x1f\x8b', '\x02\xb0\xad\x1b'];
  fc.assert(
    fc.property(fc.constantFrom(...starts), fc.uint8Array({ maxLength: 1500 }), fc.boolean(), (start, rest, setup) => {
      const image = concat(
        Uint8Array.from(start, (c) => c.charCodeAt(0)),
        rest,
      );
      if (setup) {
        image.set(ascii('HdrS').subarray(0, Math.max(0, image.length - 0x202)), Math.min(0x202, image.length));
        image.set(Uint8Array.of(0x55, 0xaa).subarray(0, Math.max(0, image.length - 0x1fe)), Math.min(0x1fe, image.length));
      }
      const ram = new PlainRam(8 * 2 ** 20);
      try {
        loadKernel(ram, ram.map, image, { initrd: Uint8Array.of(1), commandLine: 'x' });
      } catch (error) {
        expect(error).toBeInstanceOf(MinusOneError);
      }
    }),
    { numRuns: 1000 },
  );
});
