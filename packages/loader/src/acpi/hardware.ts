/** What the tables say about the machine. */
export interface AcpiHardware {
  /** Number of CPUs, 1 to 64; CPU n has APIC ID n. */
  readonly cpus: number;
  /** Port of the PM1a event block (4 bytes). */
  readonly pm1aEventPort: number;
  /** Port of the PM1a control register (2 bytes). */
  readonly pm1aControlPort: number;
  /** Port of the 24-bit PM timer (4 bytes). */
  readonly pmTimerPort: number;
  /** SLP_TYPa of \_S5: what power-off writes to bits 10-12 of PM1a control, with SLP_EN (bit 13). */
  readonly s5SleepType: number;
  /** Interrupt of the ACPI hardware: level, active high. */
  readonly sciInterrupt: number;
  /** Port and value of the reset register. */
  readonly resetPort: number;
  readonly resetValue: number;
  readonly localApicAddress: number;
  readonly ioApicAddress: number;
  readonly ioApicId: number;
  /** COM1 is there: ports 0x3F8 to 0x3FF, IRQ 4. */
  readonly hasCom1: boolean;
  /** An 8042 with a keyboard is there: ports 0x60 and 0x64, IRQ 1. */
  readonly hasKeyboardController: boolean;
}

/** The machine as our device models make it. The PM timer ticks at 3.579545 MHz. */
export const DEFAULT_ACPI_HARDWARE: AcpiHardware = {
  cpus: 1,
  pm1aEventPort: 0x600,
  pm1aControlPort: 0x604,
  pmTimerPort: 0x608,
  s5SleepType: 5,
  sciInterrupt: 9,
  resetPort: 0xcf9,
  resetValue: 6,
  localApicAddress: 0xfee0_0000,
  ioApicAddress: 0xfec0_0000,
  ioApicId: 0,
  hasCom1: true,
  hasKeyboardController: true,
};
