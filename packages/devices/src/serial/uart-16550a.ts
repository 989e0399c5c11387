import type { Clock, Snapshotable, Timer } from '@minusone/core';
import { BytePortDevice } from '../port-device.ts';
import { OutputLine, rearm } from '../wire.ts';
import type { ModemInputs, Uart16550AOptions, Uart16550AState } from './uart-16550a-interface.ts';
import { FIFO_BYTES, UartFifo } from './uart-fifo.ts';
import { Fcr, Ier, Iir, Lcr, Lsr, Mcr, Msr, UartRegister } from './uart-registers.ts';

/** The PC's crystal, in Hz; the baud clock is this over 16 over the divisor. */
const CRYSTAL_HZ = 1_843_200;
/** PC16550D, FCR bits 6 and 7: characters in the receiver FIFO that raise the received-data interrupt. */
const TRIGGER_LEVELS = [1, 4, 8, 14] as const;
/** PC16550D, "FIFO Interrupt Mode Operation": silence before the time-out interrupt. */
const TIMEOUT_CHARACTERS = 4;
/** Reads of LSR in a row that found nothing received and nothing left to send: who only waits to send stops at the first. */
const POLLS_OF_A_READER = 16;
const CHARACTER_ERRORS = Lsr.PARITY_ERROR | Lsr.FRAMING_ERROR | Lsr.BREAK;

/**
 * 16550A UART (National Semiconductor PC16550D data sheet), wired as a PC's COM port.
 *
 * A byte from the host is never lost for want of room: `receive` takes what fits and says how much. Registers are
 * decoded from the three low bits of the port.
 */
export class Uart16550A extends BytePortDevice implements Snapshotable<Uart16550AState> {
  /** Bases of the PC's four serial ports, and their IRQs. */
  static readonly COM1 = 0x3f8;
  static readonly COM2 = 0x2f8;
  static readonly COM3 = 0x3e8;
  static readonly COM4 = 0x2e8;
  static readonly PORTS = 8;

  readonly #clock: Clock;
  readonly #irq: OutputLine;
  readonly #options: Uart16550AOptions;
  readonly #timeout: Timer;
  readonly #shift: Timer;
  readonly #receiver = new UartFifo();
  readonly #transmitter = new UartFifo();
  #ier = 0;
  #fcr = 0;
  #lcr = 0;
  #mcr = 0;
  #msr = 0;
  #scr = 0;
  #divisor = 12;
  #rbr = 0;
  #modemInputs: number = Msr.CTS | Msr.DSR | Msr.DCD;
  #overrun = false;
  #timeoutPending = false;
  #thrEmptyPending = false;
  #shifting: number | undefined;
  /** Reads of LSR in a row that found nothing received and nothing left to send. No state of the device: it only tells what the guest is doing. */
  #emptyPolls = 0;

  constructor(options: Uart16550AOptions) {
    super();
    this.#options = options;
    this.#clock = options.clock;
    this.#irq = new OutputLine(options.irq);
    this.#timeout = options.clock.createTimer(() => {
      this.#timeoutPending = this.#fifosEnabled && this.#receiver.count > 0;
      this.#updateInterrupt();
    });
    this.#shift = options.clock.createTimer(() => this.#characterShifted());
    this.#msr = this.#modemInputs;
  }

  /** The guest has read every byte received so far. */
  get isReceiverEmpty(): boolean {
    return this.#receiver.count === 0;
  }

  /** The guest wants an interrupt for received bytes (IER bit 0): somebody listens. */
  get isReceiveInterruptEnabled(): boolean {
    return (this.#ier & 1) !== 0;
  }

  /** The guest reads LSR again and again, with nothing to send: it waits for a byte without an interrupt. */
  get isReceiverPolled(): boolean {
    return this.#emptyPolls >= POLLS_OF_A_READER;
  }

  /** How many bytes `receive` would take now. None in loopback mode, where SIN is cut off. */
  get receiveSpace(): number {
    if ((this.#mcr & Mcr.LOOP) !== 0) return 0;
    return (this.#fifosEnabled ? FIFO_BYTES : 1) - this.#receiver.count;
  }

  /** Bytes arrive on SIN. @returns how many were taken; the others are still the caller's */
  receive(bytes: ArrayLike<number>): number {
    const taken = Math.min(bytes.length, this.receiveSpace);
    for (let at = 0; at < taken; at++) this.#characterReceived(bytes[at]! & 0xff, 0);
    return taken;
  }

  /** A character arrives whether or not there is room, as on a wire: without room it is lost, and LSR.OE says so. */
  receiveUnpaced(byte: number): void {
    if ((this.#mcr & Mcr.LOOP) === 0) this.#characterReceived(byte & 0xff, 0);
  }

  /** The line is held spacing for longer than a character: a zero with BI and FE (PC16550D, LSR bit 4). */
  receiveBreak(): void {
    if ((this.#mcr & Mcr.LOOP) === 0) this.#characterReceived(0, Lsr.BREAK | Lsr.FRAMING_ERROR);
  }

  /** Sets the modem's signals; at power-on CTS, DSR and DCD are asserted: somebody is there. */
  setModemInputs(inputs: ModemInputs): void {
    this.#modemInputs = (inputs.cts ? Msr.CTS : 0) | (inputs.dsr ? Msr.DSR : 0) | (inputs.ri ? Msr.RI : 0) | (inputs.dcd ? Msr.DCD : 0);
    this.#updateModemStatus();
    this.#updateInterrupt();
  }

  /** Time of one character on the line, from the divisor and LCR, in nanoseconds. */
  get characterNs(): number {
    const dataBits = 5 + (this.#lcr & Lcr.WORD_LENGTH);
    const stopBits = (this.#lcr & Lcr.STOP_BITS) === 0 ? 1 : dataBits === 5 ? 1.5 : 2;
    const bits = 1 + dataBits + ((this.#lcr & Lcr.PARITY_ENABLE) !== 0 ? 1 : 0) + stopBits;
    // A divisor of 0 is not in the data sheet; it counts as 1 so that time-outs come.
    return Math.round((bits * 16 * Math.max(1, this.#divisor) * 1e9) / CRYSTAL_HZ);
  }

  protected override readRegister(port: number): number {
    switch (port & 7) {
      case UartRegister.RBR_THR:
        return this.#divisorLatchOpen ? this.#divisor & 0xff : this.#readRbr();
      case UartRegister.IER:
        return this.#divisorLatchOpen ? this.#divisor >>> 8 : this.#ier;
      case UartRegister.IIR_FCR:
        return this.#readIir();
      case UartRegister.LCR:
        return this.#lcr;
      case UartRegister.MCR:
        return this.#mcr;
      case UartRegister.LSR:
        return this.#readLsr();
      case UartRegister.MSR:
        return this.#readMsr();
      default:
        return this.#scr;
    }
  }

  protected override writeRegister(port: number, value: number): void {
    this.#emptyPolls = 0;
    switch (port & 7) {
      case UartRegister.RBR_THR:
        if (this.#divisorLatchOpen) this.#divisor = (this.#divisor & 0xff00) | value;
        else this.#writeThr(value);
        break;
      case UartRegister.IER:
        if (this.#divisorLatchOpen) this.#divisor = (this.#divisor & 0xff) | (value << 8);
        else this.#writeIer(value & 0x0f);
        break;
      case UartRegister.IIR_FCR:
        this.#writeFcr(value);
        break;
      case UartRegister.LCR:
        this.#writeLcr(value);
        break;
      case UartRegister.MCR:
        this.#writeMcr(value & 0x1f);
        break;
      case UartRegister.SCR:
        this.#scr = value;
        break;
      default: // LSR and MSR: "writing to this register is not recommended", factory testing only
        break;
    }
  }

  get #divisorLatchOpen(): boolean {
    return (this.#lcr & Lcr.DLAB) !== 0;
  }

  get #fifosEnabled(): boolean {
    return (this.#fcr & Fcr.ENABLE) !== 0;
  }

  #characterReceived(byte: number, errors: number): void {
    if (this.#receiver.count >= (this.#fifosEnabled ? FIFO_BYTES : 1)) {
      // PC16550D, LSR bit 1: in FIFO mode the character in the shift register is lost, otherwise RBR is overwritten.
      this.#overrun = true;
      if (!this.#fifosEnabled) {
        this.#receiver.clear();
        this.#receiver.push(byte, errors);
      }
    } else {
      this.#receiver.push(byte, errors);
    }
    this.#restartTimeout();
    this.#updateInterrupt();
  }

  /** PC16550D, "FIFO Interrupt Mode Operation" B: the time-out timer restarts with each character received or read. */
  #restartTimeout(): void {
    if (this.#fifosEnabled && this.#receiver.count > 0) {
      this.#timeout.arm(this.#clock.nowNs() + TIMEOUT_CHARACTERS * this.characterNs);
    } else {
      this.#timeout.cancel();
    }
  }

  #readRbr(): number {
    if (this.#receiver.count === 0) return this.#rbr;
    const hadSpace = this.receiveSpace > 0;
    this.#rbr = this.#receiver.shift();
    const byte = this.#rbr;
    this.#timeoutPending = false;
    this.#restartTimeout();
    this.#updateInterrupt();
    this.#tellSpace(hadSpace);
    return byte;
  }

  #tellSpace(hadSpace: boolean): void {
    if (!hadSpace && this.receiveSpace > 0) this.#options.onReceiveSpace?.();
  }

  #writeThr(byte: number): void {
    this.#thrEmptyPending = false;
    this.#updateInterrupt();
    if (this.#options.transmitRate === 'baud') {
      if (!this.#fifosEnabled) this.#transmitter.clear(); // THR is one character: a second write replaces it
      this.#transmitter.push(byte, 0);
      if (this.#shifting === undefined) this.#startShifting();
    } else {
      this.#send(byte);
      this.#thrEmptyPending = true;
    }
    this.#updateInterrupt();
  }

  #startShifting(): void {
    this.#shifting = this.#transmitter.shift();
    this.#shift.arm(this.#clock.nowNs() + this.characterNs);
    if (this.#transmitter.count === 0) this.#thrEmptyPending = true;
  }

  #characterShifted(): void {
    const byte = this.#shifting;
    this.#shifting = undefined;
    if (this.#transmitter.count > 0) this.#startShifting();
    if (byte !== undefined) this.#send(byte);
    this.#updateInterrupt();
  }

  #send(byte: number): void {
    if ((this.#mcr & Mcr.LOOP) !== 0) this.#characterReceived(byte, 0);
    else this.#options.onTransmit(byte);
  }

  #writeIer(value: number): void {
    // Enabling the interrupt while THR is empty raises it at once: drivers start transmission, and test for it, that way.
    if ((value & ~this.#ier & Ier.ETBEI) !== 0 && this.#transmitter.count === 0) this.#thrEmptyPending = true;
    this.#ier = value;
    this.#updateInterrupt();
  }

  #writeFcr(value: number): void {
    const hadSpace = this.receiveSpace > 0;
    const toggled = ((value ^ this.#fcr) & Fcr.ENABLE) !== 0;
    // PC16550D, FCR bit 0: it must be 1 when other bits are written, or they are not programmed; changing it empties both FIFOs.
    this.#fcr = (value & Fcr.ENABLE) !== 0 ? value & 0xc9 : 0;
    if (toggled || (value & (Fcr.ENABLE | Fcr.RESET_RECEIVER)) === (Fcr.ENABLE | Fcr.RESET_RECEIVER)) {
      this.#receiver.clear();
      this.#timeoutPending = false;
      this.#timeout.cancel();
    }
    if (toggled || (value & (Fcr.ENABLE | Fcr.RESET_TRANSMITTER)) === (Fcr.ENABLE | Fcr.RESET_TRANSMITTER)) {
      if (this.#transmitter.count > 0) this.#thrEmptyPending = true;
      this.#transmitter.clear(); // the shift register is not cleared
    }
    this.#updateInterrupt();
    this.#tellSpace(hadSpace);
  }

  #writeLcr(value: number): void {
    const breakStarts = (value & ~this.#lcr & Lcr.SET_BREAK) !== 0;
    this.#lcr = value;
    if (breakStarts && (this.#mcr & Mcr.LOOP) !== 0) this.#characterReceived(0, Lsr.BREAK | Lsr.FRAMING_ERROR);
  }

  #writeMcr(value: number): void {
    const hadSpace = this.receiveSpace > 0;
    const changed = value ^ this.#mcr;
    this.#mcr = value;
    this.#updateModemStatus();
    this.#updateInterrupt();
    if ((changed & (Mcr.DTR | Mcr.RTS | Mcr.LOOP)) !== 0) {
      const driven = (value & Mcr.LOOP) === 0; // in loopback the four outputs are forced inactive
      this.#options.onModemControl?.({ dtr: driven && (value & Mcr.DTR) !== 0, rts: driven && (value & Mcr.RTS) !== 0 });
    }
    this.#tellSpace(hadSpace);
  }

  /** PC16550D, MSR bits 0 to 3: deltas accumulate until MSR is read; TERI is the trailing edge of RI. */
  #updateModemStatus(): void {
    const before = this.#msr & 0xf0;
    const now = (this.#mcr & Mcr.LOOP) !== 0 ? loopedModemInputs(this.#mcr) : this.#modemInputs;
    const changed = before ^ now;
    let deltas = (changed & (Msr.CTS | Msr.DSR | Msr.DCD)) >>> 4;
    if ((before & ~now & Msr.RI) !== 0) deltas |= Msr.TERI;
    this.#msr = now | (this.#msr & 0x0f) | deltas;
  }

  #readMsr(): number {
    const value = this.#msr;
    this.#msr &= 0xf0;
    this.#updateInterrupt();
    return value;
  }

  get #lsr(): number {
    let value = this.#receiver.firstErrors;
    if (this.#receiver.count > 0) value |= Lsr.DATA_READY;
    if (this.#overrun) value |= Lsr.OVERRUN;
    if (this.#transmitter.count === 0) value |= Lsr.THR_EMPTY;
    if (this.#transmitter.count === 0 && this.#shifting === undefined) value |= Lsr.TRANSMITTER_EMPTY;
    if (this.#fifosEnabled && this.#receiver.holdsError) value |= Lsr.ERROR_IN_FIFO;
    return value;
  }

  #readLsr(): number {
    const value = this.#lsr;
    this.#emptyPolls = (value & Lsr.DATA_READY) === 0 && (value & Lsr.TRANSMITTER_EMPTY) !== 0 ? this.#emptyPolls + 1 : 0;
    this.#overrun = false;
    if (this.#receiver.count > 0) this.#receiver.clearFirstErrors();
    this.#updateInterrupt();
    return value;
  }

  /** PC16550D, table V: the pending interrupt of highest priority. */
  get #interrupt(): number {
    if ((this.#ier & Ier.ELSI) !== 0 && (this.#overrun || (this.#receiver.firstErrors & CHARACTER_ERRORS) !== 0)) {
      return Iir.RECEIVER_LINE_STATUS;
    }
    if ((this.#ier & Ier.ERBFI) !== 0) {
      const level = this.#fifosEnabled ? TRIGGER_LEVELS[(this.#fcr >>> 6) as 0 | 1 | 2 | 3] : 1;
      if (this.#receiver.count >= level) return Iir.RECEIVED_DATA_AVAILABLE;
      if (this.#timeoutPending) return Iir.CHARACTER_TIMEOUT;
    }
    if ((this.#ier & Ier.ETBEI) !== 0 && this.#thrEmptyPending) return Iir.THR_EMPTY;
    if ((this.#ier & Ier.EDSSI) !== 0 && (this.#msr & 0x0f) !== 0) return Iir.MODEM_STATUS;
    return Iir.NONE;
  }

  /** PC16550D, table V: reading IIR resets the THR-empty interrupt, if that is the one it shows. */
  #readIir(): number {
    const interrupt = this.#interrupt;
    if (interrupt === Iir.THR_EMPTY) {
      this.#thrEmptyPending = false;
      this.#updateInterrupt();
    }
    return interrupt | (this.#fifosEnabled ? Iir.FIFOS_ENABLED : 0);
  }

  #updateInterrupt(): void {
    // On the PC, OUT2 enables the card's interrupt driver; in loopback the pin is forced inactive.
    const gate = (this.#mcr & (Mcr.OUT2 | Mcr.LOOP)) === Mcr.OUT2;
    this.#irq.set(gate && this.#interrupt !== Iir.NONE);
  }

  save(): Uart16550AState {
    return {
      ier: this.#ier,
      fcr: this.#fcr,
      lcr: this.#lcr,
      mcr: this.#mcr,
      msr: this.#msr,
      scr: this.#scr,
      divisor: this.#divisor,
      rbr: this.#rbr,
      modemInputs: this.#modemInputs,
      overrun: this.#overrun,
      timeoutPending: this.#timeoutPending,
      thrEmptyPending: this.#thrEmptyPending,
      receiver: this.#receiver.save(),
      transmitter: this.#transmitter.save(),
      shifting: this.#shifting,
      timeoutDeadlineNs: this.#timeout.deadlineNs,
      shiftDeadlineNs: this.#shift.deadlineNs,
    };
  }

  restore(state: Uart16550AState): void {
    this.#ier = state.ier;
    this.#fcr = state.fcr;
    this.#lcr = state.lcr;
    this.#mcr = state.mcr;
    this.#msr = state.msr;
    this.#scr = state.scr;
    this.#divisor = state.divisor;
    this.#rbr = state.rbr;
    this.#modemInputs = state.modemInputs;
    this.#overrun = state.overrun;
    this.#timeoutPending = state.timeoutPending;
    this.#thrEmptyPending = state.thrEmptyPending;
    this.#receiver.restore(state.receiver);
    this.#transmitter.restore(state.transmitter);
    this.#shifting = state.shifting;
    rearm(this.#timeout, state.timeoutDeadlineNs);
    rearm(this.#shift, state.shiftDeadlineNs);
    this.#irq.forget();
    this.#updateInterrupt();
  }
}

/** PC16550D, MCR bit 4: DTR, RTS, OUT1 and OUT2 are looped to DSR, CTS, RI and DCD. */
function loopedModemInputs(mcr: number): number {
  return (
    ((mcr & Mcr.DTR) !== 0 ? Msr.DSR : 0) |
    ((mcr & Mcr.RTS) !== 0 ? Msr.CTS : 0) |
    ((mcr & Mcr.OUT1) !== 0 ? Msr.RI : 0) |
    ((mcr & Mcr.OUT2) !== 0 ? Msr.DCD : 0)
  );
}
