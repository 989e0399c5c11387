import { MinusOneError } from '@minusone/core';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { PlainRam } from '../layout/plain-ram.ts';
import { readUint } from '../structure.ts';
import { loadBzImage } from './load-bzimage.ts';
import { SETUP_HEADER_OFFSET, type SetupHeader, setupHeader } from './setup-header.ts';

const MIB = 2 ** 20;
const GIB = 2 ** 30;

/** A bzImage of one boot sector, one setup sector and 4 KiB of protected-mode part, each of whose bytes is 0xC3. */
function bzImage(fields: Partial<SetupHeader> = {}): Uint8Array {
  const image = new Uint8Array(1024 + 4096);
  image.fill(0xc3, 1024);
  const defaults: Partial<SetupHeader> = {
    setup_sects: 1,
    syssize: 256,
    boot_flag: 0xaa55,
    jump: 0x6aeb, // the header ends at 0x202 + 0x6A = 0x26C, behind handover_offset
    header: 0x5372_6448,
    version: 0x20f,
    loadflags: 1,
    initrd_addr_max: 0x7fff_ffff,
    kernel_alignment: 2 * MIB,
    relocatable_kernel: 1,
    xloadflags: 3,
    cmdline_size: 2047,
    pref_address: 16 * MIB,
    init_size: 4 * MIB,
  };
  setupHeader.encodeInto(image, SETUP_HEADER_OFFSET, { ...defaults, ...fields });
  return image;
}

function load(ramBytes: number, image: Uint8Array, options: Parameters<typeof loadBzImage>[3] = {}) {
  const ram = new PlainRam(ramBytes);
  const { state, placed } = loadBzImage(ram, ram.map, image, options);
  const zeroPage = ram.read(state.registers.rsi ?? 0, 4096);
  return { ram, state, placed, zeroPage, field: (offset: number, bytes: number) => readUint(zeroPage, offset, bytes) };
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

describe('64-bit boot protocol (Linux, Documentation/arch/x86/boot.rst)', () => {
  test('CPU in 64-bit mode, paging on, CS = __BOOT_CS 0x10, DS = ES = SS = __BOOT_DS 0x18, interrupts off, entry at load address + 0x200', () => {
    const { state, ram } = load(64 * MIB, bzImage());
    expect(state.mode).toBe('long64');
    expect(state.rip).toBe(16 * MIB + 0x200);
    expect(state.rflags & 0x200).toBe(0);
    expect(state.segments.cs).toEqual({ selector: 0x10, base: 0, limit: 0xffff_ffff, attributes: 0xa09b });
    for (const name of ['ds', 'es', 'ss'] as const) {
      expect(state.segments[name]).toEqual({ selector: 0x18, base: 0, limit: 0xffff_ffff, attributes: 0xc093 });
    }
    expect([state.cr0, state.cr4, state.efer]).toEqual([0x8000_0011, 0x20, 0x500]);
    // The GDT says the same: SDM Vol. 3A, "Segment Descriptors".
    const gdt = new DataView(ram.read(state.gdtr.base, state.gdtr.limit + 1).buffer);
    expect(gdt.getBigUint64(0x10, true)).toBe(0x00af_9b00_0000_ffffn);
    expect(gdt.getBigUint64(0x18, true)).toBe(0x00cf_9300_0000_ffffn);
    // The page tables map the kernel to itself: PML4 -> PDPT -> first directory, 2 MiB page 8.
    const next = (table: number) => Math.floor(readUint(ram.read(table, 8), 0, 8) / 4096) * 4096;
    expect(readUint(ram.read(next(next(state.cr3)) + 8 * 8, 8), 0, 8)).toBe(16 * MIB + 0x83);
  });

  test('the protected-mode part stands at the preferred address', () => {
    const { ram } = load(64 * MIB, bzImage());
    expect(ram.read(16 * MIB, 4096)).toEqual(new Uint8Array(4096).fill(0xc3));
  });

  test('zero page: header copied, the loader fills in its fields; e820 map, RSDP, command line', () => {
    const { field, ram, zeroPage } = load(64 * MIB, bzImage({ root_dev: 0x1234 }), { commandLine: 'console=ttyS0', acpiRsdp: 0xe0000 });
    expect(field(0x1fc, 2)).toBe(0x1234); // root_dev, copied
    expect(field(0x202, 4)).toBe(0x5372_6448);
    expect(field(0x210, 1)).toBe(0xff); // type_of_loader: undefined
    expect(field(0x214, 4)).toBe(16 * MIB); // code32_start
    expect(field(0x1ef, 1)).toBe(0); // sentinel
    expect(field(0x070, 8)).toBe(0xe0000); // acpi_rsdp_addr
    expect(ram.read(field(0x228, 4), 14)).toEqual(new TextEncoder().encode('console=ttyS0\0'));
    expect(field(0x0c8, 4)).toBe(0); // ext_cmd_line_ptr
    expect(field(0x1e8, 1)).toBe(ram.map.length); // e820_entries
    expect(ram.map.map((_, i) => [field(0x2d0 + 20 * i, 8), field(0x2d8 + 20 * i, 8), field(0x2e0 + 20 * i, 4)])).toEqual(
      ram.map.map((entry) => [entry.gpa, entry.bytes, entry.type]),
    );
    expect(zeroPage.subarray(0, 0x70).every((byte) => byte === 0)).toBe(true); // no screen
    expect(field(0x218, 8)).toBe(0); // no ramdisk
  });

  test('the initrd goes as high as RAM allows, page-aligned', () => {
    const initrd = new Uint8Array(5000).fill(7);
    const { field, ram } = load(64 * MIB, bzImage(), { initrd });
    expect(field(0x218, 4)).toBe(64 * MIB - 8192);
    expect(field(0x21c, 4)).toBe(5000);
    expect(ram.read(64 * MIB - 8192, 5000)).toEqual(initrd);
  });

  test('... but not above initrd_addr_max, the highest address that its last byte may have', () => {
    expect(load(64 * MIB, bzImage({ initrd_addr_max: 0x2ff_ffff }), { initrd: new Uint8Array(4096) }).field(0x218, 4)).toBe(0x2ff_f000);
    expect(load(64 * MIB, bzImage({ initrd_addr_max: 0x2ff_fffe }), { initrd: new Uint8Array(4096) }).field(0x218, 4)).toBe(0x2ff_e000);
  });

  test('above 4 GiB only with XLF_CAN_BE_LOADED_ABOVE_4G and no room below: ext_ramdisk_image holds the high half', () => {
    const initrd = new Uint8Array(4096);
    const image = (xloadflags: number) => bzImage({ initrd_addr_max: 0x10_0fff - 1, xloadflags });
    const { field, state } = load(3.5 * GIB, image(3), { initrd });
    expect([field(0x0c0, 4), field(0x218, 4)]).toEqual([1, 0.5 * GIB - 4096]);
    expect(state.cr3).toBeGreaterThan(0);
    expect(codeOf(() => load(3.5 * GIB, image(1), { initrd }))).toBe('INITRD_DOES_NOT_FIT');
  });

  test('a relocatable kernel goes to another multiple of its alignment where RAM ends below the preferred address', () => {
    expect(load(8 * MIB, bzImage()).state.rip).toBe(2 * MIB + 0x200);
    expect(codeOf(() => load(8 * MIB, bzImage({ relocatable_kernel: 0 })))).toBe('DOES_NOT_FIT');
  });

  test('init_size counts, not the size of the file', () => {
    expect(codeOf(() => load(64 * MIB, bzImage({ init_size: 60 * MIB, kernel_alignment: 16 * MIB })))).toBe('DOES_NOT_FIT');
  });

  test('32-bit entry: protected mode, paging off, ESI = zero page, entry at the load address', () => {
    const { state } = load(64 * MIB, bzImage({ version: 0x206, xloadflags: 0 }), { entry: '32-bit' });
    // Before 2.10 there is no pref_address: 1 MiB, up to the kernel's alignment.
    expect([state.mode, state.rip, state.cr0, state.cr4, state.efer]).toEqual(['protected32', 2 * MIB, 0x11, 0, 0]);
    expect(state.segments.cs.attributes).toBe(0xc09b);
  });
});

describe('what is wrong with an image has a name', () => {
  const cases: [string, Uint8Array, string][] = [
    ['boot_flag', bzImage({ boot_flag: 0 }), 'BZIMAGE_BAD_MAGIC'],
    ['header', bzImage({ header: 0 }), 'BZIMAGE_BAD_MAGIC'],
    ['protocol 2.11', bzImage({ version: 0x20b }), 'BZIMAGE_OLD_PROTOCOL'],
    ['no XLF_KERNEL_64', bzImage({ xloadflags: 2 }), 'BZIMAGE_NO_64BIT_ENTRY'],
    ['zImage', bzImage({ loadflags: 0 }), 'BZIMAGE_BAD_HEADER'],
    ['alignment', bzImage({ kernel_alignment: 0x30_0000 }), 'BZIMAGE_BAD_HEADER'],
    ['initrd_addr_max', bzImage({ initrd_addr_max: 0 }), 'BZIMAGE_BAD_HEADER'],
    ['no protected-mode part', bzImage({ syssize: 0 }), 'BZIMAGE_BAD_HEADER'],
    ['pref_address', bzImage({ pref_address: 0 }), 'BZIMAGE_BAD_HEADER'],
    ['a header that runs out of its room', bzImage({ jump: 0xffeb }), 'BZIMAGE_BAD_HEADER'],
    ['syssize', bzImage({ syssize: 258 }), 'IMAGE_TRUNCATED'],
    ['cut in the payload', bzImage().slice(0, 3000), 'IMAGE_TRUNCATED'],
    ['cut in the header', bzImage().slice(0, 0x210), 'IMAGE_TRUNCATED'],
    ['cut in the boot sector', bzImage().slice(0, 100), 'IMAGE_TRUNCATED'],
  ];
  test.each(cases)('%s', (_, image, code) => {
    expect(codeOf(() => load(64 * MIB, image))).toBe(code);
  });

  test('cmdline_size is the longest command line without its terminating zero', () => {
    const image = bzImage({ cmdline_size: 10 });
    expect(codeOf(() => load(64 * MIB, image, { commandLine: 'x'.repeat(10) }))).toBe('none');
    expect(codeOf(() => load(64 * MIB, image, { commandLine: 'x'.repeat(11) }))).toBe('COMMAND_LINE_TOO_LONG');
  });

  test('an initrd larger than memory', () => {
    expect(codeOf(() => load(64 * MIB, bzImage(), { initrd: new Uint8Array(64 * MIB) }))).toBe('INITRD_DOES_NOT_FIT');
  });

  test('truncated and damaged images throw nothing but MinusOneError', () => {
    const damage = fc.array(fc.tuple(fc.integer({ min: 0x1f1, max: 0x26b }), fc.integer({ min: 0, max: 255 })), { maxLength: 4 });
    fc.assert(
      fc.property(damage, fc.integer({ min: 0, max: 5120 }), fc.boolean(), (writes, length, wide) => {
        const image = bzImage();
        for (const [offset, value] of writes) image[offset] = value;
        codeOf(() => load(64 * MIB, image.slice(0, wide ? 5120 : length), { initrd: new Uint8Array(100), commandLine: 'a' }));
      }),
      { numRuns: 500 },
    );
  });
});
