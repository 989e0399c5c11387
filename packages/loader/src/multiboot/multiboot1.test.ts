import { MinusOneError } from '@minusone/core';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { PlainRam } from '../layout/plain-ram.ts';
import { ascii, readUint } from '../structure.ts';
import { loadMultiboot1, type MultibootOptions } from './load-multiboot1.ts';

const MIB = 2 ** 20;
const words = (...values: number[]) => new Uint8Array(Uint32Array.from(values).buffer);

/** A raw image: the header at `at`, then 0x90 up to `length`; loaded at 1 MiB by its address fields. */
function kludge({ at = 16, length = 256, flags = 0x1_0003, magic = 0x1bad_b002, checksum = 0, addresses = {} } = {}): Uint8Array {
  const fields = {
    header_addr: MIB + at,
    load_addr: MIB,
    load_end_addr: 0,
    bss_end_addr: MIB + 4096,
    entry_addr: MIB + 0x40,
    ...addresses,
  };
  const image = new Uint8Array(length).fill(0x90);
  image.set(words(magic, flags, -(magic + flags) + checksum, ...Object.values(fields)), at);
  return image;
}

/** An ELF32 file with one segment whose contents start with a Multiboot header. */
function multibootElf32(): Uint8Array {
  const image = new Uint8Array(52 + 32 + 64);
  const view = new DataView(image.buffer);
  image.set([0x7f, 0x45, 0x4c, 0x46, 1, 1, 1]);
  view.setUint16(16, 2, true);
  view.setUint16(18, 3, true);
  view.setUint32(24, 0xc010_0020, true); // e_entry, virtual
  view.setUint32(28, 52, true);
  view.setUint16(42, 32, true);
  view.setUint16(44, 1, true);
  image.set(words(1, 84, 0xc010_0000, MIB, 64, 128), 52);
  image.set(words(0x1bad_b002, 0, -0x1bad_b002), 84);
  return image;
}

function load(image: Uint8Array, options: MultibootOptions = {}) {
  const ram = new PlainRam(16 * MIB);
  ram.write(MIB, new Uint8Array(8192).fill(0xee));
  const { state, placed } = loadMultiboot1(ram, ram.map, image, options);
  const u = (gpa: number, bytes = 4) => readUint(ram.read(gpa, bytes), 0, bytes);
  return { ram, state, placed, u, info: state.registers.rbx ?? 0 };
}

const codeOf = (run: () => unknown): string => {
  try {
    run();
  } catch (error) {
    if (error instanceof MinusOneError) return error.code;
    throw error;
  }
  return 'none';
};

test('3.2 Machine state: EAX = 0x2BADB002, EBX = information, CR0 PG clear and PE set, EFLAGS IF and VM clear, flat 32-bit segments', () => {
  const { state } = load(kludge());
  expect([state.mode, state.rip, state.registers.rax]).toEqual(['protected32', MIB + 0x40, 0x2bad_b002]);
  expect([state.cr0, state.rflags]).toEqual([0x11, 2]);
  expect([state.segments.cs.attributes, state.segments.ss.attributes]).toEqual([0xc09b, 0xc093]);
  expect([state.segments.cs.base, state.segments.cs.limit]).toEqual([0, 0xffff_ffff]);
});

describe('3.1.3 The address fields', () => {
  test('load_end_addr 0: all of the file; bss up to bss_end_addr is zero', () => {
    const image = kludge();
    const { ram } = load(image);
    expect(ram.read(MIB, 256)).toEqual(image);
    expect(ram.read(MIB + 256, 4096 - 256 + 1)).toEqual(Uint8Array.of(...new Array(4096 - 256).fill(0), 0xee));
  });

  test('the file offset of load_addr is the header offset less (header_addr - load_addr)', () => {
    const image = kludge({ at: 64, addresses: { header_addr: MIB + 32, load_end_addr: MIB + 0x60, bss_end_addr: 0 } });
    const { ram } = load(image);
    expect(ram.read(MIB, 0x60)).toEqual(image.subarray(32, 32 + 0x60));
    expect(ram.read(MIB + 0x60, 1)[0]).toBe(0xee);
  });

  test.each([
    ['load_addr above header_addr', { header_addr: MIB - 4 }, 'MULTIBOOT_BAD_HEADER'],
    ['load_addr before the file', { header_addr: MIB + 20 }, 'MULTIBOOT_BAD_HEADER'],
    ['load_end_addr below load_addr', { load_end_addr: MIB }, 'MULTIBOOT_BAD_HEADER'],
    ['load_end_addr beyond the file', { load_end_addr: MIB + 257 }, 'IMAGE_TRUNCATED'],
    ['bss_end_addr below load_end_addr', { bss_end_addr: MIB + 1 }, 'MULTIBOOT_BAD_HEADER'],
    ['entry_addr outside', { entry_addr: MIB + 4096 }, 'MULTIBOOT_BAD_HEADER'],
    ['beyond RAM', { bss_end_addr: 17 * MIB }, 'DOES_NOT_FIT'],
  ])('%s', (_, addresses, code) => {
    expect(codeOf(() => load(kludge({ addresses })))).toBe(code);
  });
});

test('without flag bit 16 the image is ELF, loaded at physical addresses, its virtual entry translated', () => {
  const image = multibootElf32();
  const { ram, state } = load(image);
  expect(state.rip).toBe(MIB + 0x20);
  expect(ram.read(MIB, 64)).toEqual(image.subarray(84));
  expect(codeOf(() => load(kludge({ flags: 3 })))).toBe('MULTIBOOT_BAD_HEADER');
});

describe('3.1.1 The header', () => {
  test('lies 4-byte aligned and wholly in the first 8192 bytes', () => {
    const at = (offset: number) => codeOf(() => load(kludge({ at: offset, length: 9000, addresses: { bss_end_addr: 0 } })));
    expect(at(8192 - 32)).toBe('none');
    expect(at(8192 - 28)).toBe('MULTIBOOT_NO_HEADER');
    expect(at(18)).toBe('MULTIBOOT_NO_HEADER');
  });

  test('magic + flags + checksum = 0', () => {
    expect(codeOf(() => load(kludge({ checksum: 1 })))).toBe('MULTIBOOT_NO_HEADER');
    expect(codeOf(() => load(kludge({ magic: 0x1bad_b003 })))).toBe('MULTIBOOT_NO_HEADER');
  });

  test('bits 0 to 15 are requirements: one that is not served fails the load; bits 16 to 31 are not', () => {
    expect(codeOf(() => load(kludge({ flags: 0x1_0004 })))).toBe('MULTIBOOT_BAD_HEADER');
    expect(codeOf(() => load(kludge({ flags: 0x1_8000 })))).toBe('MULTIBOOT_BAD_HEADER');
    expect(codeOf(() => load(kludge({ flags: 0x8001_0000 })))).toBe('none');
  });
});

test('3.3 Boot information: memory, command line, modules, memory map, boot loader name, each with its flag', () => {
  const modules = [{ content: Uint8Array.of(5, 6), commandLine: 'disk x' }];
  const { ram, u, info } = load(kludge(), { initrd: new Uint8Array(5000).fill(9), modules, commandLine: 'k quiet' });
  expect(u(info)).toBe(0x1 | 0x4 | 0x8 | 0x40 | 0x200);
  expect([u(info + 4), u(info + 8)]).toEqual([639, 15 * 1024]); // KiB from 0, and from 1 MiB
  expect(ram.read(u(info + 16), 8)).toEqual(ascii('k quiet\0'));
  expect(u(info + 20)).toBe(2);
  const list = u(info + 24);
  const [first, firstEnd, second, secondEnd] = [u(list), u(list + 4), u(list + 16), u(list + 20)];
  expect([first % 4096, firstEnd - first, second % 4096, secondEnd - second]).toEqual([0, 5000, 0, 2]);
  expect(ram.read(second, 2)).toEqual(Uint8Array.of(5, 6));
  expect(ram.read(u(list + 24), 7)).toEqual(ascii('disk x\0'));
  // mmap: `size` does not count itself.
  const [length, mmap] = [u(info + 44), u(info + 48)];
  const entries = [];
  for (let at = mmap; at < mmap + length; at += u(at) + 4) entries.push({ gpa: u(at + 4, 8), bytes: u(at + 12, 8), type: u(at + 20) });
  expect(entries).toEqual(ram.map);
  expect(ram.read(u(info + 64), 15)).toEqual(ascii('Ring Minus One\0'));
});

test('nothing that the loader places overlaps the kernel or each other', () => {
  const { placed } = load(kludge(), { initrd: new Uint8Array(100) });
  const sorted = [...placed].sort((a, b) => a.gpa - b.gpa);
  for (let i = 1; i < sorted.length; i++)
    expect(sorted[i]?.gpa).toBeGreaterThanOrEqual((sorted[i - 1]?.gpa ?? 0) + (sorted[i - 1]?.bytes ?? 0));
});

test('truncated and damaged images throw nothing but MinusOneError', () => {
  const damage = fc.array(fc.tuple(fc.nat(255), fc.nat(255)), { maxLength: 5 });
  fc.assert(
    fc.property(damage, fc.nat(256), fc.constantFrom(kludge(), multibootElf32()), (writes, length, source) => {
      const image = source.slice(0, length);
      for (const [offset, value] of writes) if (offset < image.length) image[offset] = value;
      codeOf(() => load(image));
    }),
    { numRuns: 500 },
  );
});
