import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MinusOneError } from '@minusone/core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { AcpiAreaError } from '../errors.ts';
import { memoryMap } from '../layout/memory-map.ts';
import { PlainRam } from '../layout/plain-ram.ts';
import { readUint } from '../structure.ts';
import { buildAcpiTables, putAcpiTables } from './acpi-tables.ts';
import { amlBuffer, amlDevice, amlInteger, amlName, amlNamed, amlPackage, amlScope, amlString, eisaId, ioPorts, irq } from './aml.ts';

const RAM = 64 * 2 ** 20;
const sum = (bytes: Uint8Array) => bytes.reduce((total, byte) => (total + byte) & 0xff, 0);
const textOf = (bytes: Uint8Array) => String.fromCharCode(...bytes);
const hasIasl = (() => {
  try {
    return execFileSync('iasl', ['-v'], { stdio: 'pipe' }).length > 0;
  } catch {
    return false;
  }
})();

/** Finds the tables as an operating system does: RSDP on a 16-byte boundary from 0xE0000, then XSDT, then FADT. Offsets are ACPI 6.5's. */
function discover(ram: PlainRam) {
  const u = (gpa: number, bytes: number) => readUint(ram.read(gpa, bytes), 0, bytes);
  let rsdp = 0xe_0000;
  while (rsdp < 0x10_0000 && textOf(ram.read(rsdp, 8)) !== 'RSD PTR ') rsdp += 16;
  const table = (gpa: number) => ram.read(gpa, u(gpa + 4, 4));
  const xsdt = table(u(rsdp + 24, 8));
  const pointers = Array.from({ length: (xsdt.length - 36) / 8 }, (_, i) => readUint(xsdt, 36 + 8 * i, 8));
  const tables = new Map(pointers.map((gpa) => [textOf(ram.read(gpa, 4)), table(gpa)]));
  const fadt = tables.get('FACP') ?? new Uint8Array();
  return { rsdp, rsdpBytes: ram.read(rsdp, 36), xsdt, tables, fadt, dsdt: table(readUint(fadt, 140, 8)), facs: readUint(fadt, 36, 4), u };
}

describe('ACPI tables as an operating system finds them (ACPI 6.5, chapter 5)', () => {
  const ram = new PlainRam(RAM);
  const rsdp = putAcpiTables(ram, ram.map, { cpus: 3 });
  const found = discover(ram);

  test('RSDP: found by its signature in 0xE0000 to 0xFFFFF, revision 2, both checksums', () => {
    expect(found.rsdp).toBe(rsdp);
    expect(found.rsdpBytes[15]).toBe(2);
    expect([sum(found.rsdpBytes.subarray(0, 20)), sum(found.rsdpBytes)]).toEqual([0, 0]);
  });

  test('every table adds up to 0; XSDT lists FADT and MADT', () => {
    expect([...found.tables.keys()]).toEqual(['FACP', 'APIC']);
    for (const table of [found.xsdt, found.dsdt, ...found.tables.values()]) expect(sum(table)).toBe(0);
    expect(textOf(found.dsdt.subarray(0, 4))).toBe('DSDT');
  });

  test('FADT: 276 bytes, revision 6, SCI 9, PM1a blocks and timer, reset by 6 to 0xCF9, hardware not reduced', () => {
    const { fadt } = found;
    const field = (offset: number, bytes: number) => readUint(fadt, offset, bytes);
    expect([fadt.length, fadt[8], field(46, 2)]).toEqual([276, 6, 9]);
    expect([field(56, 4), field(64, 4), field(76, 4)]).toEqual([0x600, 0x604, 0x608]);
    expect([fadt[88], fadt[89], fadt[91]]).toEqual([4, 2, 4]);
    expect([field(109, 2) & 0x23]).toEqual([0x3]); // legacy devices, 8042, and a CMOS RTC
    expect(field(112, 4) & ((1 << 10) | (1 << 20))).toBe(1 << 10); // RESET_REG_SUP, not HW_REDUCED_ACPI
    expect([...fadt.subarray(116, 120), field(120, 8), fadt[128]]).toEqual([1, 8, 0, 1, 0xcf9, 6]);
    expect([field(48, 4), field(132, 8)]).toEqual([0, 0]); // always in ACPI mode; one FACS pointer only
    expect([field(152, 8), field(176, 8), field(212, 8)]).toEqual([0x600, 0x604, 0x608]);
  });

  test('FACS: 64 bytes, 64-byte aligned, in NVS memory', () => {
    expect(textOf(ram.read(found.facs, 4))).toBe('FACS');
    expect([found.u(found.facs + 4, 4), found.facs % 64]).toEqual([64, 0]);
    const holder = ram.map.find((entry) => found.facs >= entry.gpa && found.facs < entry.gpa + entry.bytes);
    expect(holder?.type).toBe(4);
  });

  test('MADT: a local APIC for each CPU, the I/O APIC, IRQ 0 at GSI 2, SCI level and active high, NMI at LINT1', () => {
    const madt = found.tables.get('APIC') ?? new Uint8Array();
    expect([readUint(madt, 36, 4), madt[40]]).toEqual([0xfee0_0000, 1]);
    const structures: number[][] = [];
    for (let at = 44; at < madt.length; at += madt[at + 1] as number)
      structures.push([...madt.subarray(at, at + (madt[at + 1] as number))]);
    expect(structures).toEqual([
      [0, 8, 0, 0, 1, 0, 0, 0],
      [0, 8, 1, 1, 1, 0, 0, 0],
      [0, 8, 2, 2, 1, 0, 0, 0],
      [1, 12, 0, 0, 0x00, 0x00, 0xc0, 0xfe, 0, 0, 0, 0],
      [2, 10, 0, 0, 2, 0, 0, 0, 0, 0],
      [2, 10, 0, 9, 9, 0, 0, 0, 0x0d, 0],
      [4, 6, 0xff, 0, 0, 1],
    ]);
  });
});

test('the tables do not overlap, with 64 CPUs either; 0 or 65 are refused, as is a map without an ACPI area', () => {
  const { tables } = buildAcpiTables(memoryMap(RAM), { cpus: 64 });
  const sorted = [...tables].sort((a, b) => a.gpa - b.gpa);
  for (let i = 1; i < sorted.length; i++)
    expect(sorted[i]?.gpa).toBeGreaterThanOrEqual((sorted[i - 1]?.gpa ?? 0) + (sorted[i - 1]?.bytes.length ?? 0));
  for (const cpus of [0, 65, 1.5]) expect(() => buildAcpiTables(memoryMap(RAM), { cpus })).toThrow(MinusOneError);
  expect(() => buildAcpiTables(memoryMap(65536))).toThrow(AcpiAreaError);
});

describe('AML encoder (ACPI 6.5, chapter 20)', () => {
  test('20.2.3: integers in their shortest form', () => {
    expect([0, 1, 2, 0xff, 0x100, 0x1_0000].map((value) => [...amlInteger(value)])).toEqual([
      [0x00],
      [0x01],
      [0x0a, 2],
      [0x0a, 0xff],
      [0x0b, 0x00, 0x01],
      [0x0c, 0, 0, 1, 0],
    ]);
    for (const value of [-1, 0.5, 2 ** 32]) expect(() => amlInteger(value)).toThrow(MinusOneError);
  });

  test('20.2.2: names are padded with underscores', () => {
    expect(textOf(amlName('\\_S5'))).toBe('\\_S5_');
    for (const name of ['', '1ABC', 'abcd', 'ABCDE']) expect(() => amlName(name)).toThrow(MinusOneError);
  });

  test('20.2.4: package lengths of one, two and three bytes count themselves', () => {
    const lead = (bytes: number) => [...amlBuffer(new Uint8Array(bytes)).subarray(1, 4)];
    expect(lead(60).slice(0, 1)).toEqual([63]); // 60 + 2 bytes of size + 1 of length: the most that one byte holds
    expect(lead(61).slice(0, 2)).toEqual([0x40 | 1, 65 >> 4]); // 61 + 2 + 2 = 65
    expect(lead(4090).slice(0, 2)).toEqual([0x40 | 0xf, 0xff]); // 4090 + 3 + 2 = 4095: the most that two hold
    expect(lead(4091)).toEqual([0x80 | 1, (4097 >> 4) & 0xff, 4097 >> 12]); // 4091 + 3 + 3 = 4097
  });

  test('19.6.36: EISAID("PNP0501") is 0x0105D041', () => {
    expect(eisaId('PNP0501')).toBe(0x0105_d041);
    expect(() => eisaId('pnp0501')).toThrow(MinusOneError);
  });

  test('6.4.2: I/O port and IRQ descriptors', () => {
    expect([...ioPorts(0x3f8, 8)]).toEqual([0x47, 1, 0xf8, 3, 0xf8, 3, 1, 8]);
    expect([...irq(4)]).toEqual([0x22, 0x10, 0]);
  });

  test('terms nest', () => {
    expect([...amlScope('\\_SB', amlDevice('D', amlNamed('A', amlPackage(amlString('x')))))]).toEqual(
      [0x10, 24, 0x5c, 0x5f, 0x53, 0x42, 0x5f, 0x5b, 0x82, 16, 0x44, 0x5f, 0x5f, 0x5f].concat([
        0x08, 0x41, 0x5f, 0x5f, 0x5f, 0x12, 5, 1, 0x0d, 0x78, 0,
      ]),
    );
  });
});

describe.skipIf(!hasIasl)(`Intel's iasl reads the tables (skipped where acpica-tools is missing)`, () => {
  let folder = '';
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'minusone-acpi-'));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  const disassembled = (signature: string): string => {
    const table = buildAcpiTables(memoryMap(RAM), { cpus: 2 }).tables.find((candidate) => candidate.signature === signature);
    writeFileSync(join(folder, `${signature}.dat`), table?.bytes ?? new Uint8Array());
    execFileSync('iasl', ['-d', `${signature}.dat`], { cwd: folder, stdio: 'pipe' });
    return readFileSync(join(folder, `${signature}.dsl`), 'utf8');
  };

  test('DSDT: _S5, the devices and their resources; it compiles again without a warning', () => {
    const asl = disassembled('DSDT')
      .replace(/\/\/.*|\/\*.*?\*\//g, '')
      .replace(/\s+/g, ' ');
    expect(asl).toContain('Name (\\_S5, Package (0x04) { 0x05, 0x05, Zero, Zero })');
    for (const id of ['PNP0501', 'PNP0B00', 'PNP0303']) expect(asl).toContain(`Name (_HID, EisaId ("${id}")`);
    expect(asl).toContain('IO (Decode16, 0x03F8, 0x03F8, 0x01, 0x08, ) IRQNoFlags () {4}');
    const compiled = execFileSync('iasl', ['-p', 'again', 'DSDT.dsl'], { cwd: folder, encoding: 'utf8' });
    expect(compiled).toContain('0 Errors, 0 Warnings, 0 Remarks');
  });

  test.each(['FACP', 'APIC', 'XSDT', 'FACS'])('%s: read whole, no field unknown or out of place', (signature) => {
    const listing = disassembled(signature);
    expect(listing).toContain(`Signature : "${signature}"`);
    expect(listing).not.toMatch(/invalid|unknown|incorrect|\*\*\*\*/i);
  });
});
