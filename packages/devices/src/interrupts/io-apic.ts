import {
  type AccessSize,
  type InterruptLine,
  type InterruptMessageSink,
  InvalidArgumentError,
  type MmioDevice,
  type Snapshotable,
} from '@minusone/core';

/** Offsets in the window (82093AA data sheet, "Memory Mapped Registers for Accessing IOAPIC Registers"). */
const Window = {
  IOREGSEL: 0x00,
  IOWIN: 0x10,
  /** Version 0x20: a write of a vector ends the interrupt, as the local APICs' EOI message does. */
  EOI: 0x40,
} as const;

/** Indirect registers, by IOREGSEL. */
const Register = { ID: 0x00, VERSION: 0x01, ARBITRATION: 0x02, REDIRECTION: 0x10 } as const;

const PINS = 24;

/** Redirection table entry, low half (82093AA, "I/O Redirection Table Registers"). The high half is the destination in bits 24 to 31. */
const Entry = {
  VECTOR: 0xff,
  DELIVERY_MODE_SHIFT: 8,
  LOGICAL: 1 << 11,
  ACTIVE_LOW: 1 << 13,
  REMOTE_IRR: 1 << 14,
  LEVEL: 1 << 15,
  MASKED: 1 << 16,
  /** All but delivery status (12) and remote IRR (14), which are read-only, and the reserved bits. */
  WRITABLE: 0x1afff,
} as const;

export interface IoApicOptions {
  /** The local APICs. */
  readonly sink: InterruptMessageSink;
  /** APIC ID, 0 to 15, at power-on. Default 0. */
  readonly id?: number;
  /**
   * How the machine wired its pins: bit n is 1 where pin n is pulled low by an asserted device. When given, a guest that
   * programs the other polarity sees the opposite, as on hardware. Left out, an asserted line is active whatever the polarity bit says.
   */
  readonly activeLowPins?: number;
  /** 0x20 (default): with an EOI register. 0x11: the 82093AA itself, without. */
  readonly version?: 0x11 | 0x20;
  /** Told of each pin whose mask bit changed. */
  readonly onMask?: (pin: number, masked: boolean) => void;
}

export interface IoApicState {
  readonly select: number;
  readonly id: number;
  /** Low and high half of each redirection entry. */
  readonly entries: Uint32Array;
  /** Asserted lines, a bit a pin. */
  readonly lines: number;
}

/**
 * I/O APIC with 24 pins: Intel 82093AA, with the version number 0x20 and the EOI register of later chipsets (82801
 * "ICH" data sheets, APIC). Memory-mapped, usually at 0xFEC00000.
 */
export class IoApic implements MmioDevice, Snapshotable<IoApicState> {
  static readonly ADDRESS = 0xfec0_0000;
  static readonly PINS: number = PINS;
  static readonly VERSION = 0x20;
  /** Bytes to map: IOREGSEL, IOWIN and the EOI register. */
  static readonly WINDOW_BYTES = 0x44;

  readonly #sink: InterruptMessageSink;
  readonly #activeLowPins: number | undefined;
  readonly #entries = new Uint32Array(2 * PINS);
  /** Which pins send a vector, a bit each. */
  readonly #pinsOfVector = new Uint32Array(256);
  readonly #version: number;
  readonly #onMask: ((pin: number, masked: boolean) => void) | undefined;
  #select = 0;
  #id: number;
  #lines = 0;

  constructor(options: IoApicOptions) {
    this.#sink = options.sink;
    this.#activeLowPins = options.activeLowPins;
    this.#id = (options.id ?? 0) & 15;
    this.#version = options.version ?? IoApic.VERSION;
    this.#onMask = options.onMask;
    for (let pin = 0; pin < PINS; pin++) this.#entries[2 * pin] = Entry.MASKED;
    this.#indexVectors();
  }

  /**
   * The input of a pin.
   * @throws {InvalidArgumentError} there is no such pin
   */
  pin(pin: number): InterruptLine {
    if (!Number.isInteger(pin) || pin < 0 || pin >= PINS) {
      throw new InvalidArgumentError(`The I/O APIC has no pin ${pin}.`, `Pins are 0 to ${PINS - 1}.`, { pin });
    }
    return { set: (asserted: boolean): void => this.#setLine(pin, asserted) };
  }

  /** Low half of a pin's redirection entry. */
  entry(pin: number): number {
    return this.#entries[2 * pin] ?? 0;
  }
  /** The pins whose entries have this vector, a bit each. */
  pinsOf(vector: number): number {
    return this.#pinsOfVector[vector] ?? 0;
  }
  #indexVectors(): void {
    this.#pinsOfVector.fill(0);
    for (let pin = 0; pin < PINS; pin++) this.#pinsOfVector[this.#entries[2 * pin]! & Entry.VECTOR]! |= 1 << pin;
  }

  /** EOI message of a local APIC (or the EOI register): ends the level-triggered interrupts with this vector. */
  eoi(vector: number): void {
    for (let pins = this.pinsOf(vector); pins !== 0; pins &= pins - 1) {
      const pin = 31 - Math.clz32(pins & -pins);
      const entry = this.#entries[2 * pin]!;
      if ((entry & Entry.REMOTE_IRR) === 0) continue;
      this.#entries[2 * pin] = entry & ~Entry.REMOTE_IRR;
      this.#serviceLevel(pin);
    }
  }

  #setLine(pin: number, asserted: boolean): void {
    const wasActive = this.#isActive(pin);
    if (asserted) this.#lines |= 1 << pin;
    else this.#lines &= ~(1 << pin);
    if (!wasActive && this.#isActive(pin)) this.#becameActive(pin);
  }

  #isActive(pin: number): boolean {
    const asserted = (this.#lines & (1 << pin)) !== 0;
    if (this.#activeLowPins === undefined) return asserted;
    const high = asserted !== ((this.#activeLowPins & (1 << pin)) !== 0);
    return high !== ((this.#entries[2 * pin]! & Entry.ACTIVE_LOW) !== 0);
  }

  #becameActive(pin: number): void {
    const entry = this.#entries[2 * pin]!;
    if (isLevel(entry)) this.#serviceLevel(pin);
    // 82093AA, interrupt mask: an edge on a masked pin is ignored, neither delivered nor held pending.
    else if ((entry & Entry.MASKED) === 0) this.#deliver(pin);
  }

  #serviceLevel(pin: number): void {
    const entry = this.#entries[2 * pin]!;
    if (!isLevel(entry) || (entry & (Entry.MASKED | Entry.REMOTE_IRR)) !== 0 || !this.#isActive(pin)) return;
    this.#entries[2 * pin] = entry | Entry.REMOTE_IRR;
    this.#deliver(pin);
  }

  #deliver(pin: number): void {
    const entry = this.#entries[2 * pin]!;
    this.#sink.deliver({
      vector: entry & Entry.VECTOR,
      deliveryMode: deliveryMode(entry),
      destination: this.#entries[2 * pin + 1]! >>> 24,
      logical: (entry & Entry.LOGICAL) !== 0,
      level: isLevel(entry),
    });
  }

  readMmio(offset: number, size: AccessSize): number {
    const value = this.#readWindow(offset & ~3) >>> (8 * (offset & 3));
    return size === 4 ? value : size === 2 ? value & 0xffff : value & 0xff;
  }

  /** Registers are 32 bits wide; a narrower write to IOWIN changes its bytes only. */
  writeMmio(offset: number, size: AccessSize, value: number): void {
    const shift = 8 * (offset & 3);
    const aligned = offset & ~3;
    if (aligned === Window.IOREGSEL) {
      if (shift === 0) this.#select = value & 0xff;
    } else if (aligned === Window.EOI) {
      if (shift === 0 && this.#version >= 0x20) this.eoi(value & 0xff);
    } else if (aligned === Window.IOWIN) {
      const mask = ((size === 4 ? 0xffffffff : size === 2 ? 0xffff : 0xff) << shift) >>> 0;
      this.#writeRegister(((this.#readWindow(Window.IOWIN) & ~mask) | ((value << shift) & mask)) >>> 0);
    }
  }

  #readWindow(offset: number): number {
    if (offset === Window.IOREGSEL) return this.#select;
    return offset === Window.IOWIN ? this.#readRegister() : 0;
  }

  #readRegister(): number {
    switch (this.#select) {
      case Register.ID:
      case Register.ARBITRATION:
        return this.#id << 24;
      case Register.VERSION:
        return ((PINS - 1) << 16) | this.#version;
      default:
        return this.#entries[this.#select - Register.REDIRECTION] ?? 0;
    }
  }

  #writeRegister(value: number): void {
    const index = this.#select - Register.REDIRECTION;
    if (this.#select === Register.ID) this.#id = (value >>> 24) & 15;
    else if (index >= 0 && index < 2 * PINS) {
      if ((index & 1) === 1) this.#entries[index] = value & 0xff00_0000;
      else this.#writeEntry(index >>> 1, value);
    }
  }

  #writeEntry(pin: number, value: number): void {
    const old = this.#entries[2 * pin]!;
    const wasActive = this.#isActive(pin);
    let entry = value & Entry.WRITABLE;
    // Made edge triggered, a pin has no remote IRR: software ends a stuck level interrupt that way.
    if (isLevel(entry)) entry |= old & Entry.REMOTE_IRR;
    this.#entries[2 * pin] = entry;
    if (((old ^ entry) & Entry.VECTOR) !== 0) this.#indexVectors();
    if (((old ^ entry) & Entry.MASKED) !== 0) this.#onMask?.(pin, (entry & Entry.MASKED) !== 0);
    if (!wasActive && this.#isActive(pin)) this.#becameActive(pin);
    else this.#serviceLevel(pin);
  }

  save(): IoApicState {
    return { select: this.#select, id: this.#id, entries: this.#entries.slice(), lines: this.#lines };
  }

  restore(state: IoApicState): void {
    this.#select = state.select;
    this.#id = state.id;
    this.#entries.set(state.entries);
    this.#indexVectors();
    this.#lines = state.lines;
  }
}

function deliveryMode(entry: number): number {
  return (entry >>> Entry.DELIVERY_MODE_SHIFT) & 7;
}

/** Only fixed and lowest-priority interrupts are level triggered; 82093AA: SMI, NMI, INIT are edges, whatever bit 15 says, and so is ExtINT here. */
function isLevel(entry: number): boolean {
  return (entry & Entry.LEVEL) !== 0 && deliveryMode(entry) <= 1;
}
