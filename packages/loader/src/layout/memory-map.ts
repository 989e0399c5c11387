import { InvalidArgumentError, UnalignedAddressError } from '@minusone/core';

/** Types of address ranges (ACPI 6.5, table 15.3 "Address Range Types"); the same numbers in e820, PVH and Multiboot. */
export const E820Type = { RAM: 1, RESERVED: 2, ACPI: 3, NVS: 4 } as const;
export type E820Type = (typeof E820Type)[keyof typeof E820Type];

/** One range of guest-physical addresses, in bytes. */
export interface E820Entry {
  readonly gpa: number;
  readonly bytes: number;
  readonly type: E820Type;
}

/** Ranges in ascending order, without overlaps. What no entry names is not RAM: free for devices. */
export type MemoryMap = readonly E820Entry[];

const MIB = 2 ** 20;

/** Landmarks of a PC's guest-physical space. */
export const PcAddress = {
  /** Extended BIOS data area: the last KiB of conventional memory. */
  EBDA: 0x9_fc00,
  /** End of conventional memory; video memory and option ROMs follow. */
  VIDEO: 0xa_0000,
  /** Our ACPI tables: inside the range that operating systems search for the RSDP (ACPI 6.5, 5.2.5.1). */
  ACPI_TABLES: 0xe_0000,
  /** The FACS, which stays the firmware's: ACPI NVS. */
  ACPI_NVS: 0xe_f000,
  BIOS: 0xf_0000,
  HIGH_MEMORY: 0x10_0000,
  /** RAM stops here and goes on at 4 GiB. */
  PCI_HOLE: 0xc000_0000,
  /** I/O APIC, local APICs and firmware ROM, up to 4 GiB. */
  CHIPSET: 0xfec0_0000,
  ABOVE_4_GIB: 0x1_0000_0000,
} as const;

/**
 * The memory map of a PC with `ramBytes` of RAM: 640 KiB of conventional memory less the EBDA, ACPI tables and BIOS below
 * 1 MiB, RAM up to 3 GiB, a hole for PCI devices up to 4 GiB, and the rest of RAM above. What video and BIOS cover below
 * 1 MiB counts as used up, as on a PC.
 *
 * @param ramBytes a positive multiple of 4096. Below 1 MiB there is no ACPI area and no reserved range.
 * @throws {InvalidArgumentError} not a positive whole number
 * @throws {UnalignedAddressError} not a multiple of 4096
 * @example
 * memoryMap(64 * 2 ** 20).filter((entry) => entry.type === E820Type.RAM).length; // 2
 */
export function memoryMap(ramBytes: number): MemoryMap {
  if (!Number.isSafeInteger(ramBytes) || ramBytes <= 0) {
    throw new InvalidArgumentError(`RAM of ${ramBytes} bytes.`, 'Give a positive multiple of 4096.', { ramBytes });
  }
  if (ramBytes % 4096 !== 0) throw new UnalignedAddressError('The RAM size', ramBytes, 4096);
  if (ramBytes < MIB) return [{ gpa: 0, bytes: Math.min(ramBytes, PcAddress.VIDEO), type: E820Type.RAM }];

  const range = (from: number, to: number, type: E820Type): E820Entry => ({ gpa: from, bytes: to - from, type });
  const map = [
    range(0, PcAddress.EBDA, E820Type.RAM),
    range(PcAddress.EBDA, PcAddress.VIDEO, E820Type.RESERVED),
    range(PcAddress.ACPI_TABLES, PcAddress.ACPI_NVS, E820Type.ACPI),
    range(PcAddress.ACPI_NVS, PcAddress.BIOS, E820Type.NVS),
    range(PcAddress.BIOS, PcAddress.HIGH_MEMORY, E820Type.RESERVED),
    range(PcAddress.HIGH_MEMORY, Math.min(ramBytes, PcAddress.PCI_HOLE), E820Type.RAM),
    range(PcAddress.CHIPSET, PcAddress.ABOVE_4_GIB, E820Type.RESERVED),
    range(PcAddress.ABOVE_4_GIB, PcAddress.ABOVE_4_GIB + Math.max(0, ramBytes - PcAddress.PCI_HOLE), E820Type.RAM),
  ];
  return map.filter((entry) => entry.bytes > 0);
}

/** The first address above all RAM. */
export function topOfRam(map: MemoryMap): number {
  return map.reduce((top, entry) => (entry.type === E820Type.RAM ? Math.max(top, entry.gpa + entry.bytes) : top), 0);
}
