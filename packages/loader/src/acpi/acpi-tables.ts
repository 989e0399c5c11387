import { type GuestMemory, InvalidArgumentError } from '@minusone/core';
import { AcpiAreaError } from '../errors.ts';
import { E820Type, type MemoryMap } from '../layout/memory-map.ts';
import { alignUp } from '../structure.ts';
import { dsdtAml } from './dsdt.ts';
import { type AcpiHardware, DEFAULT_ACPI_HARDWARE } from './hardware.ts';
import { buildFacs, buildFadt, buildMadt, buildRsdp, buildXsdt, systemTable } from './system-tables.ts';
import { rsdpLayout } from './table-layouts.ts';

/** One table and where it goes. */
export interface AcpiTable {
  /** `RSD PTR `, `XSDT`, `FACP`, `FACS`, `APIC` or `DSDT`. */
  readonly signature: string;
  readonly gpa: number;
  readonly bytes: Uint8Array;
}

export interface AcpiTables {
  /** Guest-physical address of the RSDP: for the zero page or the PVH start info. */
  readonly rsdp: number;
  readonly tables: readonly AcpiTable[];
}

/** 64 bytes suit the FACS, 16 the RSDP. */
const TABLE_ALIGNMENT = 64;
const MOST_CPUS = 64;

/**
 * Builds the ACPI tables for the area of type ACPI in a memory map, the RSDP first; the FACS goes to the NVS area. Pure: nothing is written.
 * Source: ACPI 6.5, chapter 5.
 *
 * @param hardware what differs from `DEFAULT_ACPI_HARDWARE`
 * @throws {InvalidArgumentError} not 1 to 64 CPUs
 * @throws {AcpiAreaError} the map has no area for them, or too small a one
 * @example
 * buildAcpiTables(memoryMap(64 * 2 ** 20), { cpus: 2 }).tables.map((table) => table.signature);
 */
export function buildAcpiTables(map: MemoryMap, hardware: Partial<AcpiHardware> = {}): AcpiTables {
  const all = { ...DEFAULT_ACPI_HARDWARE, ...hardware };
  if (!Number.isInteger(all.cpus) || all.cpus < 1 || all.cpus > MOST_CPUS) {
    throw new InvalidArgumentError(`${all.cpus} CPUs.`, `Use 1 to ${MOST_CPUS}.`, { cpus: all.cpus });
  }
  const area = map.find((entry) => entry.type === E820Type.ACPI);
  const nvs = map.find((entry) => entry.type === E820Type.NVS);
  const start = area?.gpa ?? 0;
  const tables: AcpiTable[] = [];
  let end = alignUp(start + rsdpLayout.byteLength, TABLE_ALIGNMENT);
  const add = (signature: string, bytes: Uint8Array): number => {
    const gpa = end;
    tables.push({ signature, gpa, bytes });
    end = alignUp(gpa + bytes.length, TABLE_ALIGNMENT);
    return gpa;
  };

  const facs = { signature: 'FACS', gpa: nvs?.gpa ?? 0, bytes: buildFacs() };
  const dsdt = add('DSDT', systemTable('DSDT', 2, dsdtAml(all)));
  const fadt = add('FACP', buildFadt(all, facs.gpa, dsdt));
  const madt = add('APIC', buildMadt(all));
  const xsdt = add('XSDT', buildXsdt([fadt, madt]));
  const rsdp = { signature: 'RSD PTR ', gpa: start, bytes: buildRsdp(xsdt) };

  if (!area || end - start > area.bytes) throw new AcpiAreaError(end - start, area?.bytes ?? 0);
  if (!nvs || facs.bytes.length > nvs.bytes) throw new AcpiAreaError(facs.bytes.length, nvs?.bytes ?? 0);
  return { rsdp: start, tables: [rsdp, ...tables, facs] };
}

/**
 * Builds the ACPI tables and writes them to guest memory.
 * @returns the guest-physical address of the RSDP, for `acpiRsdp` of a loader's options
 * @throws as `buildAcpiTables`
 * @example
 * loadKernel(memory, map, image, { acpiRsdp: putAcpiTables(memory, map, { cpus: 2 }) });
 */
export function putAcpiTables(memory: GuestMemory, map: MemoryMap, hardware: Partial<AcpiHardware> = {}): number {
  const { rsdp, tables } = buildAcpiTables(map, hardware);
  for (const table of tables) memory.write(table.gpa, table.bytes);
  return rsdp;
}
