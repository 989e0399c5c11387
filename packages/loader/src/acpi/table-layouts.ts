import { type Structure, structure } from '../structure.ts';

/** Layouts of the ACPI tables (ACPI 6.5, chapter 5 "ACPI Software Programming Model"): field names and bytes as printed there. */

const headerFields = {
  Signature: { raw: 4 },
  Length: 4,
  Revision: 1,
  Checksum: 1,
  OEMID: { raw: 6 },
  OEMTableID: { raw: 8 },
  OEMRevision: 4,
  CreatorID: { raw: 4 },
  CreatorRevision: 4,
} as const;
/** 5.2.6 "System Description Table Header". */
export const tableHeader: Structure<typeof headerFields> = structure(headerFields);

const rsdpFields = {
  Signature: { raw: 8 },
  Checksum: 1,
  OEMID: { raw: 6 },
  Revision: 1,
  RsdtAddress: 4,
  Length: 4,
  XsdtAddress: 8,
  ExtendedChecksum: 1,
  Reserved: { raw: 3 },
} as const;
/** 5.2.5.3 "Root System Description Pointer (RSDP) Structure". */
export const rsdpLayout: Structure<typeof rsdpFields> = structure(rsdpFields);
/** The part that `Checksum` covers (ACPI 1.0). */
export const RSDP_FIRST_BYTES = 20;

const facsFields = {
  Signature: { raw: 4 },
  Length: 4,
  HardwareSignature: 4,
  FirmwareWakingVector: 4,
  GlobalLock: 4,
  Flags: 4,
  XFirmwareWakingVector: 8,
  Version: 1,
  Reserved1: { raw: 3 },
  OSPMFlags: 4,
  Reserved2: { raw: 24 },
} as const;
/** 5.2.10 "Firmware ACPI Control Structure (FACS)". */
export const facsLayout: Structure<typeof facsFields> = structure(facsFields);

const gasFields = { AddressSpaceID: 1, RegisterBitWidth: 1, RegisterBitOffset: 1, AccessSize: 1, Address: 8 } as const;
/** 5.2.3.2 "Generic Address Structure". */
export const genericAddress: Structure<typeof gasFields> = structure(gasFields);

const fadtFields = {
  FIRMWARE_CTRL: 4,
  DSDT: 4,
  Reserved0: 1,
  Preferred_PM_Profile: 1,
  SCI_INT: 2,
  SMI_CMD: 4,
  ACPI_ENABLE: 1,
  ACPI_DISABLE: 1,
  S4BIOS_REQ: 1,
  PSTATE_CNT: 1,
  PM1a_EVT_BLK: 4,
  PM1b_EVT_BLK: 4,
  PM1a_CNT_BLK: 4,
  PM1b_CNT_BLK: 4,
  PM2_CNT_BLK: 4,
  PM_TMR_BLK: 4,
  GPE0_BLK: 4,
  GPE1_BLK: 4,
  PM1_EVT_LEN: 1,
  PM1_CNT_LEN: 1,
  PM2_CNT_LEN: 1,
  PM_TMR_LEN: 1,
  GPE0_BLK_LEN: 1,
  GPE1_BLK_LEN: 1,
  GPE1_BASE: 1,
  CST_CNT: 1,
  P_LVL2_LAT: 2,
  P_LVL3_LAT: 2,
  FLUSH_SIZE: 2,
  FLUSH_STRIDE: 2,
  DUTY_OFFSET: 1,
  DUTY_WIDTH: 1,
  DAY_ALRM: 1,
  MON_ALRM: 1,
  CENTURY: 1,
  IAPC_BOOT_ARCH: 2,
  Reserved1: 1,
  Flags: 4,
  RESET_REG: { raw: 12 },
  RESET_VALUE: 1,
  ARM_BOOT_ARCH: 2,
  FADT_Minor_Version: 1,
  X_FIRMWARE_CTRL: 8,
  X_DSDT: 8,
  X_PM1a_EVT_BLK: { raw: 12 },
  X_PM1b_EVT_BLK: { raw: 12 },
  X_PM1a_CNT_BLK: { raw: 12 },
  X_PM1b_CNT_BLK: { raw: 12 },
  X_PM2_CNT_BLK: { raw: 12 },
  X_PM_TMR_BLK: { raw: 12 },
  X_GPE0_BLK: { raw: 12 },
  X_GPE1_BLK: { raw: 12 },
  SLEEP_CONTROL_REG: { raw: 12 },
  SLEEP_STATUS_REG: { raw: 12 },
  HypervisorVendorIdentity: { raw: 8 },
} as const;
/** 5.2.9 "Fixed ACPI Description Table (FADT)", behind the header. */
export const fadtLayout: Structure<typeof fadtFields> = structure(fadtFields);

const madtFields = { LocalInterruptControllerAddress: 4, Flags: 4 } as const;
/** 5.2.12 "Multiple APIC Description Table (MADT)", behind the header. */
export const madtLayout: Structure<typeof madtFields> = structure(madtFields);
const localApicFields = { Type: 1, Length: 1, ACPIProcessorUID: 1, APICID: 1, Flags: 4 } as const;
/** 5.2.12.2 "Processor Local APIC Structure". */
export const madtLocalApic: Structure<typeof localApicFields> = structure(localApicFields);
const ioApicFields = { Type: 1, Length: 1, IOAPICID: 1, Reserved: 1, IOAPICAddress: 4, GlobalSystemInterruptBase: 4 } as const;
/** 5.2.12.3 "I/O APIC Structure". */
export const madtIoApic: Structure<typeof ioApicFields> = structure(ioApicFields);
const overrideFields = { Type: 1, Length: 1, Bus: 1, Source: 1, GlobalSystemInterrupt: 4, Flags: 2 } as const;
/** 5.2.12.5 "Interrupt Source Override Structure". */
export const madtInterruptSourceOverride: Structure<typeof overrideFields> = structure(overrideFields);
const nmiFields = { Type: 1, Length: 1, ACPIProcessorUID: 1, Flags: { raw: 2 }, LocalAPICLINT: 1 } as const;
/** 5.2.12.7 "Local APIC NMI Structure". */
export const madtLocalApicNmi: Structure<typeof nmiFields> = structure(nmiFields);
