import { concat } from '../structure.ts';
import type { AcpiHardware } from './hardware.ts';
import {
  facsLayout,
  fadtLayout,
  genericAddress,
  madtInterruptSourceOverride,
  madtIoApic,
  madtLayout,
  madtLocalApic,
  madtLocalApicNmi,
  RSDP_FIRST_BYTES,
  rsdpLayout,
  tableHeader,
} from './table-layouts.ts';

const OEM_ID = 'RING-1';
const OEM_TABLE_ID = 'MINUSONE';
const CREATOR_ID = 'RMO1';

/** What makes the bytes add up to 0 modulo 256. */
export function checksum(bytes: Uint8Array): number {
  return -bytes.reduce((sum, byte) => sum + byte, 0) & 0xff;
}

/** A table with its header (ACPI 6.5, 5.2.6): length and checksum filled in. */
export function systemTable(signature: string, revision: number, content: Uint8Array): Uint8Array {
  const header = tableHeader.encode({
    Signature: signature,
    Length: tableHeader.byteLength + content.length,
    Revision: revision,
    OEMID: OEM_ID,
    OEMTableID: OEM_TABLE_ID,
    OEMRevision: 1,
    CreatorID: CREATOR_ID,
    CreatorRevision: 1,
  });
  const table = concat(header, content);
  table[tableHeader.offsetOf('Checksum')] = checksum(table);
  return table;
}

/** RSDP of revision 2; it names the XSDT only. */
export function buildRsdp(xsdtAddress: number): Uint8Array {
  const rsdp = rsdpLayout.encode({
    Signature: 'RSD PTR ',
    OEMID: OEM_ID,
    Revision: 2,
    Length: rsdpLayout.byteLength,
    XsdtAddress: xsdtAddress,
  });
  rsdp[rsdpLayout.offsetOf('Checksum')] = checksum(rsdp.subarray(0, RSDP_FIRST_BYTES));
  rsdp[rsdpLayout.offsetOf('ExtendedChecksum')] = checksum(rsdp);
  return rsdp;
}

/** XSDT (5.2.8): the addresses of the other tables. */
export function buildXsdt(tableAddresses: readonly number[]): Uint8Array {
  const content = new Uint8Array(tableAddresses.length * 8);
  const view = new DataView(content.buffer);
  tableAddresses.forEach((gpa, index) => {
    view.setBigUint64(index * 8, BigInt(gpa), true);
  });
  return systemTable('XSDT', 1, content);
}

/** FACS: no header checksum, 64-byte aligned, version 2. */
export function buildFacs(): Uint8Array {
  return facsLayout.encode({ Signature: 'FACS', Length: facsLayout.byteLength, Version: 2 });
}

const SYSTEM_IO = 1;
/** Access sizes of the generic address structure. */
const AccessSize = { BYTE: 1, WORD: 2, DWORD: 3 } as const;

function ioRegister(port: number, bits: number, accessSize: number): Uint8Array {
  return genericAddress.encode({ AddressSpaceID: SYSTEM_IO, RegisterBitWidth: bits, AccessSize: accessSize, Address: port });
}

/** 5.2.9.3 "IA-PC Boot Architecture Flags". */
export const IapcBootArch = { LEGACY_DEVICES: 0x1, I8042: 0x2, VGA_NOT_PRESENT: 0x4 } as const;

/** 5.2.9, table "Fixed ACPI Description Table Fixed Feature Flags". Not set: HW_REDUCED_ACPI (bit 20), TMR_VAL_EXT (bit 8: the timer has 24 bits). */
export const FadtFlag = {
  WBINVD: 0x1,
  PROC_C1: 0x4,
  /** No fixed power or sleep button. */
  PWR_BUTTON: 0x10,
  SLP_BUTTON: 0x20,
  /** The RTC's wake status is not in a fixed register. */
  FIX_RTC: 0x40,
  RESET_REG_SUP: 0x400,
} as const;

/** FADT of ACPI 6.0 (revision 6). SMI_CMD is 0: the machine is always in ACPI mode, so SCI_EN in PM1a control reads 1. */
export function buildFadt(hardware: AcpiHardware, facsAddress: number, dsdtAddress: number): Uint8Array {
  const { pm1aEventPort, pm1aControlPort, pmTimerPort } = hardware;
  const content = fadtLayout.encode({
    FIRMWARE_CTRL: facsAddress,
    DSDT: dsdtAddress,
    Preferred_PM_Profile: 1, // desktop
    SCI_INT: hardware.sciInterrupt,
    PM1a_EVT_BLK: pm1aEventPort,
    PM1a_CNT_BLK: pm1aControlPort,
    PM_TMR_BLK: pmTimerPort,
    PM1_EVT_LEN: 4,
    PM1_CNT_LEN: 2,
    PM_TMR_LEN: 4,
    // Above 100 and 1000 microseconds: no C2, no C3.
    P_LVL2_LAT: 0xfff,
    P_LVL3_LAT: 0xfff,
    CENTURY: 0x32,
    IAPC_BOOT_ARCH: IapcBootArch.LEGACY_DEVICES | IapcBootArch.VGA_NOT_PRESENT | (hardware.hasKeyboardController ? IapcBootArch.I8042 : 0),
    Flags: FadtFlag.WBINVD | FadtFlag.PROC_C1 | FadtFlag.PWR_BUTTON | FadtFlag.SLP_BUTTON | FadtFlag.FIX_RTC | FadtFlag.RESET_REG_SUP,
    RESET_REG: ioRegister(hardware.resetPort, 8, AccessSize.BYTE),
    RESET_VALUE: hardware.resetValue,
    X_DSDT: dsdtAddress,
    X_PM1a_EVT_BLK: ioRegister(pm1aEventPort, 32, AccessSize.WORD),
    X_PM1a_CNT_BLK: ioRegister(pm1aControlPort, 16, AccessSize.WORD),
    X_PM_TMR_BLK: ioRegister(pmTimerPort, 32, AccessSize.DWORD),
  });
  return systemTable('FACP', 6, content);
}

/** Types of MADT structures. */
export const MadtType = { LOCAL_APIC: 0, IO_APIC: 1, INTERRUPT_SOURCE_OVERRIDE: 2, LOCAL_APIC_NMI: 4 } as const;
const PCAT_COMPAT = 1;
const LOCAL_APIC_ENABLED = 1;
/** 5.2.12.5, table "MPS INTI Flags": active high, level triggered. */
const ACTIVE_HIGH_LEVEL = 0b1101;
const ALL_PROCESSORS = 0xff;
const PIT_GSI = 2;

/** MADT: local APICs, one I/O APIC, IRQ 0 at GSI 2, the SCI as level and active high, NMI at LINT1 of every CPU. */
export function buildMadt(hardware: AcpiHardware): Uint8Array {
  const { cpus, sciInterrupt } = hardware;
  const localApics = Array.from({ length: cpus }, (_, index) =>
    madtLocalApic.encode({
      Type: MadtType.LOCAL_APIC,
      Length: madtLocalApic.byteLength,
      ACPIProcessorUID: index,
      APICID: index,
      Flags: LOCAL_APIC_ENABLED,
    }),
  );
  const ioApic = madtIoApic.encode({
    Type: MadtType.IO_APIC,
    Length: madtIoApic.byteLength,
    IOAPICID: hardware.ioApicId,
    IOAPICAddress: hardware.ioApicAddress,
  });
  const override = (source: number, gsi: number, flags: number): Uint8Array =>
    madtInterruptSourceOverride.encode({
      Type: MadtType.INTERRUPT_SOURCE_OVERRIDE,
      Length: madtInterruptSourceOverride.byteLength,
      Source: source,
      GlobalSystemInterrupt: gsi,
      Flags: flags,
    });
  const nmi = madtLocalApicNmi.encode({
    Type: MadtType.LOCAL_APIC_NMI,
    Length: madtLocalApicNmi.byteLength,
    ACPIProcessorUID: ALL_PROCESSORS,
    LocalAPICLINT: 1,
  });
  const fixed = madtLayout.encode({ LocalInterruptControllerAddress: hardware.localApicAddress, Flags: PCAT_COMPAT });
  const overrides = [override(0, PIT_GSI, 0), override(sciInterrupt, sciInterrupt, ACTIVE_HIGH_LEVEL)];
  return systemTable('APIC', 5, concat(fixed, ...localApics, ioApic, ...overrides, nmi));
}
