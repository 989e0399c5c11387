import type { AccessSize, Clock, InterruptLine, PowerControl, Snapshotable, Timer } from '@minusone/core';
import type { SizedPortDevice } from '../port-device.ts';
import { PM_TIMER_RATE } from '../time/tick-rate.ts';
import { OutputLine } from '../wire.ts';

/** PM1 status and enable (ACPI 6.5, 4.8.3.1 "PM1 Event Grouping"). */
const Pm1Event = { TMR: 0x0001, GBL: 0x0020, PWRBTN: 0x0100, SLPBTN: 0x0200, RTC: 0x0400, WAK: 0x8000 } as const;
const STATUS_BITS = Pm1Event.TMR | Pm1Event.GBL | Pm1Event.PWRBTN | Pm1Event.SLPBTN | Pm1Event.RTC | Pm1Event.WAK;
const ENABLE_BITS = Pm1Event.TMR | Pm1Event.GBL | Pm1Event.PWRBTN | Pm1Event.SLPBTN | Pm1Event.RTC;
/** PM1 control (ACPI 6.5, 4.8.3.2.1). SLP_EN and GBL_RLS are write-only. */
const Pm1Control = { SCI_EN: 0x0001, BM_RLD: 0x0002, SLP_TYP_SHIFT: 10, SLP_TYP: 0x1c00, SLP_EN: 0x2000 } as const;

/** Offsets of the register blocks from the base port, as a FADT should say them. */
const Block = { PM1_STATUS: 0, PM1_ENABLE: 2, PM1_CONTROL: 4, PM_TIMER: 8 } as const;

export interface AcpiPmOptions {
  readonly clock: Clock;
  readonly power: PowerControl;
  /** The system control interrupt, level triggered: IRQ 9 by custom. */
  readonly sci: InterruptLine;
  /** First port; `AcpiPm.PORTS` ports. Default 0x600. */
  readonly base?: number;
  /** SLP_TYP that the DSDT's \_S5 names: with SLP_EN it turns the machine off. Default 5. Other values do nothing: offer no other state. */
  readonly s5SleepType?: number;
  /** Bits of the power management timer: 32 if the FADT's TMR_VAL_EXT is 1. Default 32. */
  readonly timerBits?: 24 | 32;
  /** SCI_EN at power-on. Default true: with SMI_CMD 0 in the FADT, the machine is always in ACPI mode. */
  readonly sciEnabled?: boolean;
}

export interface AcpiPmState {
  readonly status: number;
  readonly enable: number;
  readonly control: number;
  /** Times that the timer's highest bit has toggled, as far as accounted for. */
  readonly toggles: number;
}

/**
 * ACPI fixed hardware without general-purpose events (ACPI 6.5, 4.8.3): PM1a event block at base + 0 (4 bytes), PM1a
 * control block at base + 4 (2 bytes), power management timer at base + 8 (4 bytes, 3.579545 MHz).
 */
export class AcpiPm implements SizedPortDevice, Snapshotable<AcpiPmState> {
  static readonly BASE = 0x600;
  static readonly PORTS = 12;
  /** Offsets and lengths for the FADT. */
  static readonly PM1_EVENT_OFFSET: number = Block.PM1_STATUS;
  static readonly PM1_EVENT_BYTES = 4;
  static readonly PM1_CONTROL_OFFSET: number = Block.PM1_CONTROL;
  static readonly PM1_CONTROL_BYTES = 2;
  static readonly PM_TIMER_OFFSET: number = Block.PM_TIMER;
  static readonly PM_TIMER_BYTES = 4;
  static readonly S5_SLEEP_TYPE = 5;

  readonly maxAccessBytes = 4;
  readonly base: number;
  readonly #clock: Clock;
  readonly #power: PowerControl;
  readonly #sci: OutputLine;
  readonly #s5SleepType: number;
  readonly #timerBits: number;
  readonly #timer: Timer;
  #status = 0;
  #enable = 0;
  #control: number;
  #toggles: number;

  constructor(options: AcpiPmOptions) {
    this.base = options.base ?? AcpiPm.BASE;
    this.#clock = options.clock;
    this.#power = options.power;
    this.#sci = new OutputLine(options.sci);
    this.#s5SleepType = options.s5SleepType ?? AcpiPm.S5_SLEEP_TYPE;
    this.#timerBits = options.timerBits ?? 32;
    this.#control = options.sciEnabled === false ? 0 : Pm1Control.SCI_EN;
    this.#timer = options.clock.createTimer(() => this.#update());
    this.#toggles = this.#togglesNow;
  }

  /** Somebody presses the power button: PWRBTN_STS, and an SCI if it is enabled. */
  pressPowerButton(): void {
    this.#status |= Pm1Event.PWRBTN;
    this.#update();
  }

  /** What firmware does on ACPI_ENABLE and ACPI_DISABLE at the SMI command port. */
  setSciEnabled(enabled: boolean): void {
    this.#control = enabled ? this.#control | Pm1Control.SCI_EN : this.#control & ~Pm1Control.SCI_EN;
    this.#update();
  }

  readPort(port: number, size: AccessSize): number {
    this.#update();
    const ticks = PM_TIMER_RATE.ticksAt(this.#clock.nowNs()) % 2 ** this.#timerBits;
    let value = 0;
    for (let byte = 0; byte < size; byte++) value |= this.#byteAt(port - this.base + byte, ticks) << (8 * byte);
    return value >>> 0;
  }

  #byteAt(offset: number, ticks: number): number {
    if (offset < 0 || offset >= AcpiPm.PORTS) return 0xff;
    if (offset >= Block.PM_TIMER) return (ticks >>> (8 * (offset - Block.PM_TIMER))) & 0xff;
    const register = offset < Block.PM1_ENABLE ? this.#status : offset < Block.PM1_CONTROL ? this.#enable : this.#control;
    return offset >= Block.PM1_CONTROL + AcpiPm.PM1_CONTROL_BYTES ? 0 : (register >>> (8 * (offset & 1))) & 0xff;
  }

  writePort(port: number, size: AccessSize, value: number): void {
    this.#update(); // events up to now count before the write clears any
    for (let byte = 0; byte < size; byte++) this.#writeByte(port - this.base + byte, (value >>> (8 * byte)) & 0xff);
    this.#update();
  }

  #writeByte(offset: number, value: number): void {
    const shift = 8 * (offset & 1);
    const mask = 0xff << shift;
    const shifted = value << shift;
    switch (offset & ~1) {
      case Block.PM1_STATUS:
        this.#status &= ~shifted; // write 1 to clear
        break;
      case Block.PM1_ENABLE:
        this.#enable = ((this.#enable & ~mask) | shifted) & ENABLE_BITS;
        break;
      case Block.PM1_CONTROL:
        this.#writeControl(mask, shifted);
        break;
      default: // the timer is read-only
        break;
    }
  }

  /** SCI_EN belongs to the hardware: software preserves it (ACPI 6.5, 4.8.3.2.1). */
  #writeControl(mask: number, value: number): void {
    const writable = mask & (Pm1Control.BM_RLD | Pm1Control.SLP_TYP);
    this.#control = (this.#control & ~writable) | (value & writable);
    if ((value & Pm1Control.SLP_EN) === 0) return;
    if ((this.#control & Pm1Control.SLP_TYP) >>> Pm1Control.SLP_TYP_SHIFT === this.#s5SleepType) this.#power.powerOff(0);
  }

  get #togglesNow(): number {
    return Math.floor(PM_TIMER_RATE.ticksAt(this.#clock.nowNs()) / 2 ** (this.#timerBits - 1));
  }

  /** TMR_STS rises whenever the timer's highest bit toggles (ACPI 6.5, 4.8.3.3). */
  #update(): void {
    const toggles = this.#togglesNow;
    if (toggles !== this.#toggles) {
      this.#toggles = toggles;
      this.#status |= Pm1Event.TMR;
    }
    this.#status &= STATUS_BITS;
    this.#sci.set((this.#control & Pm1Control.SCI_EN) !== 0 && (this.#status & this.#enable) !== 0);
    if ((this.#enable & ~this.#status & Pm1Event.TMR) === 0) this.#timer.cancel();
    else this.#timer.arm(PM_TIMER_RATE.nsOf((toggles + 1) * 2 ** (this.#timerBits - 1)));
  }

  save(): AcpiPmState {
    this.#update();
    return { status: this.#status, enable: this.#enable, control: this.#control, toggles: this.#toggles };
  }

  restore(state: AcpiPmState): void {
    this.#status = state.status;
    this.#enable = state.enable;
    this.#control = state.control;
    this.#toggles = state.toggles;
    this.#sci.forget();
    this.#update();
  }
}
