import { MinusOneError } from '@minusone/core';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { detectKernel } from '../detect-kernel.ts';
import { PlainRam } from '../layout/plain-ram.ts';
import { ascii, concat, readUint, structure } from '../structure.ts';
import { loadElf64 } from './load-elf64.ts';
import { loadElfPvh } from './load-pvh.ts';

const MIB = 2 ** 20;

interface Segment {
  type?: number;
  vaddr?: bigint;
  paddr?: number;
  content: Uint8Array;
  memsz?: number;
}

/** An ELF64 executable, built from DataView writes at the gABI's offsets, so that the reader's tables are not used to check themselves. */
function elf64(entry: bigint, segments: Segment[], { machine = 62, type = 2 } = {}): Uint8Array {
  const headers = new Uint8Array(64 + 56 * segments.length);
  const view = new DataView(headers.buffer);
  headers.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  view.setUint16(16, type, true);
  view.setUint16(18, machine, true);
  view.setBigUint64(24, entry, true);
  view.setBigUint64(32, 64n, true); // e_phoff
  view.setUint16(54, 56, true); // e_phentsize
  view.setUint16(56, segments.length, true);
  let offset = headers.length;
  segments.forEach((segment, i) => {
    const at = 64 + 56 * i;
    view.setUint32(at, segment.type ?? 1, true);
    view.setBigUint64(at + 8, BigInt(offset), true);
    view.setBigUint64(at + 16, segment.vaddr ?? BigInt(segment.paddr ?? 0), true);
    view.setBigUint64(at + 24, BigInt(segment.paddr ?? 0), true);
    view.setBigUint64(at + 32, BigInt(segment.content.length), true);
    view.setBigUint64(at + 40, BigInt(segment.memsz ?? segment.content.length), true);
    offset += segment.content.length;
  });
  return concat(headers, ...segments.map((segment) => segment.content));
}

/** An ELF32 executable of one segment. */
function elf32(entry: number, paddr: number, content: Uint8Array, note: Uint8Array): Uint8Array {
  const headers = new Uint8Array(52 + 2 * 32);
  const view = new DataView(headers.buffer);
  headers.set([0x7f, 0x45, 0x4c, 0x46, 1, 1, 1]);
  view.setUint16(16, 2, true);
  view.setUint16(18, 3, true);
  view.setUint32(24, entry, true);
  view.setUint32(28, 52, true);
  view.setUint16(42, 32, true);
  view.setUint16(44, 2, true);
  const row = (at: number, values: number[]) => values.forEach((value, i) => void view.setUint32(at + 4 * i, value, true));
  row(52, [1, headers.length, paddr, paddr, content.length, content.length]);
  row(84, [4, headers.length + content.length, 0, 0, note.length, note.length]);
  return concat(headers, content, note);
}

const noteHeader = structure({ n_namesz: 4, n_descsz: 4, n_type: 4 });
const note = (name: string, type: number, descriptor: Uint8Array) =>
  concat(
    noteHeader.encode({ n_namesz: name.length + 1, n_descsz: descriptor.length, n_type: type }),
    ascii(name.padEnd(Math.ceil((name.length + 1) / 4) * 4, '\0')),
    descriptor,
    new Uint8Array(-descriptor.length & 3),
  );
const address = (value: number) => Uint8Array.of(value & 0xff, (value >> 8) & 0xff, (value >> 16) & 0xff, value >>> 24);
/** Three bytes: the next note starts behind a byte of padding. */
const otherNote = note('Linux', 257, Uint8Array.of(1, 2, 3));
const code = new Uint8Array(64).fill(0xf4);
const loadable: Segment = { paddr: MIB, content: code };
const pvhKernel = elf64(0x1234n, [loadable, { type: 4, content: concat(otherNote, note('Xen', 18, address(MIB + 16))) }]);

const codeOf = (run: () => unknown): string => {
  try {
    run();
  } catch (error) {
    if (error instanceof MinusOneError) return error.code;
    throw error;
  }
  return 'none';
};

describe('PVH (Xen, "x86/HVM direct boot ABI")', () => {
  const ram = new PlainRam(16 * MIB);
  const { state } = loadElfPvh(ram, ram.map, pvhKernel, { initrd: Uint8Array.of(1, 2, 3), commandLine: 'a=b', acpiRsdp: 0xe0000 });
  const u = (gpa: number, bytes: number) => readUint(ram.read(gpa, bytes), 0, bytes);

  test('32-bit protected mode, paging off, flat segments, CR0 with PE alone (and ET, always 1), CR4 = 0, EFLAGS IF and TF clear', () => {
    expect([state.mode, state.rip, state.cr0, state.cr4, state.rflags]).toEqual(['protected32', MIB + 16, 0x11, 0, 2]);
    expect([state.segments.cs.attributes, state.segments.ds.attributes]).toEqual([0xc09b, 0xc093]);
    expect(state.segments.tr).toMatchObject({ base: 0, limit: 0x67, attributes: 0x8b });
  });

  test('EBX = hvm_start_info of version 1: modules, command line, RSDP, memory map', () => {
    const info = state.registers.rbx ?? 0;
    expect([u(info, 4), u(info + 4, 4), u(info + 12, 4)]).toEqual([0x336e_c578, 1, 1]);
    const module = u(info + 16, 8);
    expect(ram.read(u(module, 8), u(module + 8, 8))).toEqual(Uint8Array.of(1, 2, 3));
    expect(ram.read(u(info + 24, 8), 4)).toEqual(ascii('a=b\0'));
    expect(u(info + 32, 8)).toBe(0xe0000);
    const memmap = u(info + 40, 8);
    expect(u(info + 48, 4)).toBe(ram.map.length);
    expect(ram.map.map((_, i) => [u(memmap + 24 * i, 8), u(memmap + 24 * i + 8, 8), u(memmap + 24 * i + 16, 4)])).toEqual(
      ram.map.map((entry) => [entry.gpa, entry.bytes, entry.type]),
    );
  });

  test('the descriptor of the note may have 4 or 8 bytes; ELF32 serves as well', () => {
    const wide = elf64(0n, [loadable, { type: 4, content: note('Xen', 18, concat(address(MIB + 8), new Uint8Array(4))) }]);
    expect(loadElfPvh(new PlainRam(16 * MIB), ram.map, wide).state.rip).toBe(MIB + 8);
    const narrow = elf32(0, MIB, code, note('Xen', 18, address(MIB + 4)));
    expect(loadElfPvh(new PlainRam(16 * MIB), ram.map, narrow).state.rip).toBe(MIB + 4);
    expect(detectKernel(narrow)).toBe('elf-pvh');
  });

  test('no note, an odd note, an entry outside the image', () => {
    const load = (image: Uint8Array) => codeOf(() => loadElfPvh(new PlainRam(16 * MIB), ram.map, image));
    const withNote = (content: Uint8Array) => elf64(0n, [loadable, { type: 4, content }]);
    expect(load(withNote(otherNote))).toBe('ELF_NO_PVH_ENTRY');
    expect(load(withNote(note('Xen', 17, address(MIB))))).toBe('ELF_NO_PVH_ENTRY');
    expect(load(withNote(note('Xen', 18, Uint8Array.of(0, 0))))).toBe('ELF_INVALID');
    expect(load(withNote(note('Xen', 18, address(2 * MIB))))).toBe('ELF_INVALID');
  });
});

describe('ELF64 started in 64-bit mode', () => {
  const load = (image: Uint8Array) => {
    const ram = new PlainRam(16 * MIB);
    for (let gpa = MIB; gpa < 2 * MIB; gpa += 4096) ram.write(gpa, new Uint8Array(4096).fill(0xee));
    return { ram, ...loadElf64(ram, ram.map, image) };
  };

  test('segments go to their physical addresses; what the file does not fill is zero', () => {
    const { ram, state } = load(elf64(BigInt(MIB), [{ paddr: MIB, content: code, memsz: 100 }]));
    expect(ram.read(MIB, 64)).toEqual(code);
    expect(ram.read(MIB + 64, 37)).toEqual(Uint8Array.of(...new Array(36).fill(0), 0xee));
    expect([state.mode, state.rip, state.efer]).toEqual(['long64', MIB, 0x500]);
  });

  test('a virtual entry point in the upper half is translated by its segment, exactly', () => {
    const { state } = load(elf64(0xffff_ffff_8010_0123n, [{ vaddr: 0xffff_ffff_8010_0000n, paddr: MIB, content: new Uint8Array(0x200) }]));
    expect(state.rip).toBe(MIB + 0x123);
  });

  test('RDI = start info; RSP is aligned as at a function entry (System V ABI: RSP + 8 is a multiple of 16), with return address 0', () => {
    const { ram, state } = load(elf64(BigInt(MIB), [loadable]));
    const { rdi = 0, rsp = 0 } = state.registers;
    expect(readUint(ram.read(rdi, 4), 0, 4)).toBe(0x336e_c578);
    expect((rsp + 8) % 16).toBe(0);
    expect(ram.read(rsp, 8)).toEqual(new Uint8Array(8));
  });

  test('what cannot be loaded has a name', () => {
    const loadCode = (image: Uint8Array) => codeOf(() => load(image));
    expect(loadCode(elf64(0n, [loadable]))).toBe('ELF_INVALID');
    expect(loadCode(elf64(BigInt(MIB), [loadable], { machine: 183 }))).toBe('ELF_INVALID');
    expect(loadCode(elf64(BigInt(MIB), [loadable], { type: 1 }))).toBe('ELF_INVALID');
    expect(loadCode(elf64(0n, []))).toBe('ELF_INVALID');
    expect(loadCode(elf64(BigInt(MIB), [loadable, { ...loadable, paddr: MIB + 63 }]))).toBe('IMAGE_OVERLAP');
    expect(loadCode(elf64(BigInt(MIB), [{ ...loadable, memsz: 16 * MIB }]))).toBe('DOES_NOT_FIT');
    expect(loadCode(elf64(BigInt(MIB), [{ ...loadable, memsz: 8 }]))).toBe('ELF_INVALID');
    expect(loadCode(elf64(BigInt(MIB), [loadable]).slice(0, -1))).toBe('IMAGE_TRUNCATED');
    expect(loadCode(elf64(BigInt(MIB), [loadable, { type: 3, content: code }]))).toBe('ELF_INVALID');
  });
});

test('truncated and damaged ELF files throw nothing but MinusOneError', () => {
  const damage = fc.array(fc.tuple(fc.nat(pvhKernel.length - 1), fc.nat(255)), { maxLength: 5 });
  fc.assert(
    fc.property(damage, fc.nat(pvhKernel.length), fc.boolean(), (writes, length, whole) => {
      const image = pvhKernel.slice(0, whole ? undefined : length);
      for (const [offset, value] of writes) if (offset >= 7 && offset < image.length) image[offset] = value;
      const ram = new PlainRam(4 * MIB);
      for (const load of [loadElfPvh, loadElf64]) codeOf(() => load(ram, ram.map, image));
      codeOf(() => detectKernel(image));
    }),
    { numRuns: 1000 },
  );
});
