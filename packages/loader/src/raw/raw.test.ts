import { describe, expect, test } from 'vitest';
import { BiosImageSizeError, DoesNotFitError, FlatImageAddressError, UnrecognizedImageError } from '../errors.ts';
import { PlainRam } from '../layout/plain-ram.ts';
import { loadBios } from './load-bios.ts';
import { loadFlat } from './load-flat.ts';

describe('flat images', () => {
  const image = Uint8Array.of(0xf4, 0x90);

  test.each([
    [0, 0, 0],
    [0x7c00, 0x7c0, 0],
    [0x1234f, 0x1234, 0xf],
    [0xffff1, 0xffff, 1],
  ])('at 0x%x: CS = ADDR >> 4, IP = ADDR & 15, real mode', (address, cs, ip) => {
    const ram = new PlainRam(2 ** 20);
    const { state } = loadFlat(ram, image, address);
    expect([state.mode, state.rip, state.cr0 & 0x8000_0001]).toEqual(['real', ip, 0]);
    expect(state.segments.cs).toEqual({ selector: cs, base: cs * 16, limit: 0xffff, attributes: 0x93 });
    expect(ram.read(address, 2)).toEqual(image);
  });

  test('an address that CS:IP cannot name, an image beyond RAM, an empty image', () => {
    const ram = new PlainRam(65536);
    for (const address of [-1, 0x10_0000, 0.5, Number.NaN]) expect(() => loadFlat(ram, image, address)).toThrow(FlatImageAddressError);
    expect(() => loadFlat(ram, image, 65535)).toThrow(DoesNotFitError);
    expect(() => loadFlat(ram, new Uint8Array(0), 0)).toThrow(UnrecognizedImageError);
  });
});

describe('BIOS images', () => {
  const image = Uint8Array.from({ length: 256 * 1024 }, (_, i) => i >>> 12);

  test('the image ends at 4 GiB, its last 128 KiB also at 1 MiB', () => {
    const [low, high] = loadBios(image).roms;
    expect([high?.gpa, high?.bytes]).toEqual([2 ** 32 - 256 * 1024, 256 * 1024]);
    expect(high?.data.every((byte, i) => byte === image[i])).toBe(true);
    expect([low?.gpa, low?.bytes]).toEqual([0xe_0000, 0x2_0000]);
    expect(low?.data.every((byte, i) => byte === image[128 * 1024 + i])).toBe(true);
  });

  test('an image under 128 KiB stands whole below 1 MiB', () => {
    expect(loadBios(new Uint8Array(65536)).roms.map((rom) => [rom.gpa, rom.bytes])).toEqual([
      [0xf_0000, 65536],
      [0xffff_0000, 65536],
    ]);
  });

  test('reset state (SDM Vol. 3A, "Processor State After Reset")', () => {
    const { state } = loadBios(image);
    expect(state).toMatchObject({ mode: 'real', keepsReset: true, rip: 0xfff0, rflags: 2, cr0: 0x6000_0010, cr3: 0, cr4: 0, efer: 0 });
    expect(state.segments.cs).toEqual({ selector: 0xf000, base: 0xffff_0000, limit: 0xffff, attributes: 0x93 });
    expect(state.segments.ds).toEqual({ selector: 0, base: 0, limit: 0xffff, attributes: 0x93 });
    expect([state.segments.ldtr.attributes, state.segments.tr.attributes]).toEqual([0x82, 0x8b]);
    expect([state.gdtr, state.idtr]).toEqual([
      { base: 0, limit: 0xffff },
      { base: 0, limit: 0xffff },
    ]);
  });

  test.each([0, 1, 4095, 4097, 16 * 2 ** 20 + 4096])('%i bytes are refused', (bytes) => {
    expect(() => loadBios(new Uint8Array(bytes))).toThrow(BiosImageSizeError);
  });
  test.each([4096, 16 * 2 ** 20])('%i bytes are taken', (bytes) => {
    expect(loadBios(new Uint8Array(bytes)).roms).toHaveLength(2);
  });
});
