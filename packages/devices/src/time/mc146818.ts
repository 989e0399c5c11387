import type { Clock, InterruptLine, Snapshotable, Timer } from '@minusone/core';
import { BytePortDevice } from '../port-device.ts';
import { OutputLine } from '../wire.ts';
import { addSeconds, type RtcFormat, secondsToAlarm, writeCalendar } from './rtc-calendar.ts';
import { RTC_RATE } from './tick-rate.ts';

const Register = { A: 0x0a, B: 0x0b, C: 0x0c, D: 0x0d } as const;
const RegisterA = { UIP: 0x80, DIVIDER: 0x70, RATE: 0x0f } as const;
const RegisterB = { SET: 0x80, PIE: 0x40, AIE: 0x20, UIE: 0x10, DM: 0x04, HOURS_24: 0x02 } as const;
const RegisterC = { IRQF: 0x80, PF: 0x40, AF: 0x20, UF: 0x10 } as const;
/** Register D: valid RAM and time; the battery is good. */
const VRT = 0x80;

const SECOND_NS = 1e9;
/** MC146818, "Update cycle": UIP rises 244 microseconds before a cycle that takes 1984 microseconds at 32.768 kHz. */
const UIP_NS = 244_000 + 1_984_000;
const CMOS_BYTES = 128;

export interface Mc146818Options {
  readonly clock: Clock;
  /** IRQ 8. */
  readonly irq: InterruptLine;
  /** The time shown when the machine is made: whole seconds since 1970-01-01 UTC. Default 946684800: 2000-01-01 00:00:00, the same each run. */
  readonly startEpochSeconds?: number;
  /** Bit 7 of port 0x70: the guest masks (true) or unmasks NMI. */
  readonly onNmiMask?: (masked: boolean) => void;
}

export interface Mc146818State {
  readonly cmos: Uint8Array;
  readonly index: number;
  readonly flags: number;
  readonly dividerStartNs: number;
  readonly updates: number;
  readonly periods: number;
}

/**
 * MC146818 real-time clock with 114 bytes of CMOS RAM (Motorola MC146818 data sheet), as on the PC/AT: index port 0x70,
 * whose bit 7 masks NMI, and data port 0x71. Time of day, alarm, update-ended and periodic flags are worked out from
 * the clock when somebody looks; timers run only for interrupts that are enabled. DSE (daylight saving) is kept but has no effect.
 */
export class Mc146818 extends BytePortDevice implements Snapshotable<Mc146818State> {
  static readonly INDEX = 0x70;
  static readonly DATA = 0x71;

  readonly #clock: Clock;
  readonly #irq: OutputLine;
  readonly #onNmiMask: ((masked: boolean) => void) | undefined;
  readonly #updateTimer: Timer;
  readonly #periodicTimer: Timer;
  readonly #cmos = new Uint8Array(CMOS_BYTES);
  #index = 0;
  /** PF, AF, UF of register C. */
  #flags = 0;
  /** When the divider chain started: updates end at whole seconds from here. */
  #dividerStartNs: number;
  /** Update cycles of the divider that have been accounted for. */
  #updates = 0;
  /** Periods of the periodic interrupt that have been accounted for. */
  #periods = 0;

  constructor(options: Mc146818Options) {
    super();
    this.#clock = options.clock;
    this.#irq = new OutputLine(options.irq);
    this.#onNmiMask = options.onNmiMask;
    this.#dividerStartNs = options.clock.nowNs();
    this.#updateTimer = options.clock.createTimer(() => this.#sync());
    this.#periodicTimer = options.clock.createTimer(() => this.#sync());
    this.#cmos[Register.A] = 0x26; // 32.768 kHz, 1024 Hz: what a PC's BIOS sets
    this.#cmos[Register.B] = RegisterB.HOURS_24;
    this.#cmos[Register.D] = VRT;
    writeCalendar(this.#cmos, Math.floor(options.startEpochSeconds ?? 946_684_800), this.#format);
  }

  /** The guest has masked NMI (port 0x70, bit 7). */
  get nmiMasked(): boolean {
    return (this.#index & 0x80) !== 0;
  }

  /** Reads a CMOS byte as firmware would, without its side effects. @param index 0 to 127 */
  readNvram(index: number): number {
    this.#sync();
    return this.#cmos[index & 0x7f]!;
  }

  /** Sets a byte of CMOS RAM (0x0E to 0x7F); for machines that leave configuration to their firmware. */
  writeNvram(index: number, value: number): void {
    if ((index & 0x7f) > Register.D) this.#cmos[index & 0x7f] = value;
  }

  protected override readRegister(port: number): number {
    if (port !== Mc146818.DATA) return 0xff; // the index port is write-only
    this.#sync();
    const index = this.#index & 0x7f;
    if (index === Register.A) return this.#cmos[Register.A]! | (this.#updateInProgress ? RegisterA.UIP : 0);
    if (index === Register.C) return this.#readC();
    return this.#cmos[index]!;
  }

  protected override writeRegister(port: number, value: number): void {
    if (port === Mc146818.INDEX) {
      const changed = (value ^ this.#index) & 0x80;
      this.#index = value;
      if (changed !== 0) this.#onNmiMask?.(this.nmiMasked);
    } else if (port === Mc146818.DATA) {
      this.#sync();
      this.#writeData(this.#index & 0x7f, value);
      this.#plan();
    }
  }

  #writeData(index: number, value: number): void {
    if (index === Register.A) this.#writeA(value & 0x7f);
    // MC146818, register B: UIE is cleared by SET going high.
    else if (index === Register.B) this.#cmos[Register.B] = (value & RegisterB.SET) !== 0 ? value & ~RegisterB.UIE : value;
    else if (index !== Register.C && index !== Register.D) this.#cmos[index] = value;
  }

  #writeA(value: number): void {
    const wasReset = this.#dividerReset;
    this.#cmos[Register.A] = value;
    const now = this.#clock.nowNs();
    if (wasReset && !this.#dividerReset) {
      // "When the divider reset is removed, the first update cycle begins one-half second later."
      this.#dividerStartNs = now - SECOND_NS / 2;
      this.#updates = 0;
    }
    this.#periods = this.#periodsAt(now);
  }

  #readC(): number {
    const value = this.#flags | (this.#interrupting ? RegisterC.IRQF : 0);
    this.#flags = 0;
    this.#plan();
    return value;
  }

  get #format(): RtcFormat {
    const b = this.#cmos[Register.B]!;
    return { binary: (b & RegisterB.DM) !== 0, hours24: (b & RegisterB.HOURS_24) !== 0 };
  }

  /** Divider bits 11x hold the divider chain in reset. */
  get #dividerReset(): boolean {
    return (this.#cmos[Register.A]! & 0x60) === 0x60;
  }

  get #updatesInhibited(): boolean {
    return this.#dividerReset || (this.#cmos[Register.B]! & RegisterB.SET) !== 0;
  }

  get #updateInProgress(): boolean {
    if (this.#updatesInhibited) return false;
    const next = this.#dividerStartNs + (this.#updates + 1) * SECOND_NS;
    return this.#clock.nowNs() >= next - UIP_NS;
  }

  /** log2 of the periodic interrupt's period in 32.768 kHz ticks, or 0: none (register A, table of rates). */
  get #periodShift(): number {
    const rate = this.#cmos[Register.A]! & RegisterA.RATE;
    return rate === 0 ? 0 : rate < 3 ? rate + 6 : rate - 1;
  }

  #periodsAt(ns: number): number {
    if (this.#periodShift === 0 || this.#dividerReset) return 0;
    return Math.floor(RTC_RATE.ticksAt(Math.max(0, ns - this.#dividerStartNs)) / 2 ** this.#periodShift);
  }

  /** Accounts for the update cycles and periods that have ended by now. */
  #sync(): void {
    const now = this.#clock.nowNs();
    const updates = this.#dividerReset ? this.#updates : Math.max(0, Math.floor((now - this.#dividerStartNs) / SECOND_NS));
    const elapsed = updates - this.#updates;
    if (elapsed > 0) {
      this.#updates = updates;
      if (!this.#updatesInhibited) {
        if (secondsToAlarm(this.#cmos, this.#format) <= elapsed) this.#flags |= RegisterC.AF;
        addSeconds(this.#cmos, elapsed, this.#format);
        this.#flags |= RegisterC.UF;
      }
    }
    const periods = this.#periodsAt(now);
    if (periods > this.#periods) {
      this.#periods = periods;
      this.#flags |= RegisterC.PF;
    }
    this.#plan();
  }

  /** The enable bits of register B stand where the flags of register C do. */
  get #interrupting(): boolean {
    return (this.#flags & this.#cmos[Register.B]! & (RegisterC.PF | RegisterC.AF | RegisterC.UF)) !== 0;
  }

  /** Drives IRQ 8, and arms timers for the enabled interrupts whose flag is not up yet. */
  #plan(): void {
    this.#irq.set(this.#interrupting);
    const awaited = this.#cmos[Register.B]! & ~this.#flags;
    let seconds = Number.POSITIVE_INFINITY;
    if (!this.#updatesInhibited) {
      if ((awaited & RegisterB.UIE) !== 0) seconds = 1;
      else if ((awaited & RegisterB.AIE) !== 0) seconds = secondsToAlarm(this.#cmos, this.#format);
    }
    if (seconds === Number.POSITIVE_INFINITY) this.#updateTimer.cancel();
    else this.#updateTimer.arm(this.#dividerStartNs + (this.#updates + seconds) * SECOND_NS);

    if ((awaited & RegisterB.PIE) === 0 || this.#periodShift === 0 || this.#dividerReset) this.#periodicTimer.cancel();
    else this.#periodicTimer.arm(this.#dividerStartNs + RTC_RATE.nsOf((this.#periods + 1) * 2 ** this.#periodShift));
  }

  save(): Mc146818State {
    this.#sync();
    return {
      cmos: this.#cmos.slice(),
      index: this.#index,
      flags: this.#flags,
      dividerStartNs: this.#dividerStartNs,
      updates: this.#updates,
      periods: this.#periods,
    };
  }

  restore(state: Mc146818State): void {
    this.#cmos.set(state.cmos);
    this.#index = state.index;
    this.#flags = state.flags;
    this.#dividerStartNs = state.dividerStartNs;
    this.#updates = state.updates;
    this.#periods = state.periods;
    this.#irq.forget();
    this.#plan();
  }
}
