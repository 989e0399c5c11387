import type { Clock, InterruptLine, PowerControl, Snapshotable, Timer } from '@minusone/core';
import { BytePortDevice } from '../port-device.ts';
import { OutputLine, rearm, UNCONNECTED } from '../wire.ts';
import { Ps2Keyboard, type Ps2KeyboardState } from './ps2-keyboard.ts';
import { Ps2Mouse, type Ps2MouseState } from './ps2-mouse.ts';
import { translateToSet1 } from './scan-codes.ts';

const Status = { OBF: 0x01, SYS: 0x04, COMMAND: 0x08, UNLOCKED: 0x10, AUX: 0x20, TIMEOUT: 0x40 } as const;
/** The controller command byte, which is byte 0 of its RAM. */
const CommandByte = { KEYBOARD_INT: 0x01, AUX_INT: 0x02, SYS: 0x04, KEYBOARD_DISABLE: 0x10, AUX_DISABLE: 0x20, TRANSLATE: 0x40 } as const;
const OutputPort = { NO_RESET: 0x01, A20: 0x02, KEYBOARD_OBF: 0x10, AUX_OBF: 0x20, CLOCK_AND_DATA: 0xc0 } as const;

/** Commands at port 0x64 (IBM PS/2 technical reference, "Keyboard and auxiliary device controller"). */
const Command = {
  READ_RAM: 0x20,
  READ_RAM_LAST: 0x3f,
  WRITE_RAM: 0x60,
  WRITE_RAM_LAST: 0x7f,
  TEST_PASSWORD: 0xa4,
  DISABLE_AUX: 0xa7,
  ENABLE_AUX: 0xa8,
  TEST_AUX: 0xa9,
  SELF_TEST: 0xaa,
  TEST_KEYBOARD: 0xab,
  DISABLE_KEYBOARD: 0xad,
  ENABLE_KEYBOARD: 0xae,
  READ_INPUT_PORT: 0xc0,
  READ_OUTPUT_PORT: 0xd0,
  WRITE_OUTPUT_PORT: 0xd1,
  WRITE_KEYBOARD_BUFFER: 0xd2,
  WRITE_AUX_BUFFER: 0xd3,
  WRITE_AUX: 0xd4,
  /** As the HP Vectra has them, and chipsets since. */
  DISABLE_A20: 0xdd,
  ENABLE_A20: 0xdf,
  READ_TEST_INPUTS: 0xe0,
  PULSE_OUTPUT_PORT: 0xf0,
} as const;

const SELF_TEST_PASSED = 0x55;
const NO_PASSWORD = 0xf1;
const INTERFACE_GOOD = 0x00;
const CLOCK_LINE_STUCK_LOW = 0x01;
/** Keyboard not locked, manufacturing jumper not in, colour display. */
const INPUT_PORT = 0xb0;
/** What a device that does not answer leaves in the output buffer. */
const NO_ANSWER = 0xfe;
/** Eleven bits on the serial line of a PS/2 port, at 11 kHz. Also what an interrupt handler that reads port 0x60 twice relies on. */
const BYTE_NS = 1_000_000;

export interface I8042Options {
  readonly clock: Clock;
  /** IRQ 1. */
  readonly keyboardIrq: InterruptLine;
  /** IRQ 12; with it there is an auxiliary port with a mouse, without it neither. */
  readonly mouseIrq?: InterruptLine;
  readonly power: PowerControl;
  /** The guest sets the A20 gate (output port, bit 1); at power-on it is on. */
  readonly onA20?: (enabled: boolean) => void;
  /** The guest set the keyboard's lamps: bit 0 Scroll Lock, 1 Num Lock, 2 Caps Lock. */
  readonly onIndicators?: (indicators: number) => void;
  /** Command byte at power-on. Default 0x61: keyboard with interrupt and translation, auxiliary port disabled. */
  readonly initialCommandByte?: number;
}

export interface I8042State {
  readonly ram: Uint8Array;
  readonly output: number;
  readonly outputFull: boolean;
  readonly outputIsAux: boolean;
  readonly outputIsTimeout: boolean;
  readonly reply: I8042Reply | undefined;
  readonly awaits: number;
  readonly lastWasCommand: boolean;
  readonly a20: boolean;
  readonly breakPrefix: boolean;
  readonly byteDeadlineNs: number | undefined;
  readonly keyboard: Ps2KeyboardState;
  readonly mouse: Ps2MouseState | undefined;
}

/** A byte of the controller's own for the output buffer. */
export interface I8042Reply {
  readonly byte: number;
  readonly aux: boolean;
  readonly timeout: boolean;
}

/**
 * 8042 keyboard controller of the PC/AT and PS/2, with its keyboard and, if the machine has one, a mouse. Ports 0x60
 * (data) and 0x64 (status and command).
 */
export class I8042 extends BytePortDevice implements Snapshotable<I8042State> {
  static readonly DATA = 0x60;
  static readonly COMMAND = 0x64;

  readonly keyboard: Ps2Keyboard;
  readonly mouse: Ps2Mouse | undefined;
  readonly #clock: Clock;
  readonly #keyboardIrq: OutputLine;
  readonly #mouseIrq: OutputLine;
  readonly #power: PowerControl;
  readonly #onA20: ((enabled: boolean) => void) | undefined;
  readonly #byte: Timer;
  readonly #ram = new Uint8Array(32);
  #output = 0;
  #outputFull = false;
  #outputIsAux = false;
  #outputIsTimeout = false;
  /** A reply for which the output buffer had no room; a later one takes its place. */
  #reply: I8042Reply | undefined;
  /** The command whose data byte comes next at port 0x60, or 0: it is for the keyboard. */
  #awaits = 0;
  #lastWasCommand = false;
  #a20 = true;
  /** 0xF0 was received for translation: the next code is a break code. */
  #breakPrefix = false;

  constructor(options: I8042Options) {
    super();
    this.#clock = options.clock;
    this.#keyboardIrq = new OutputLine(options.keyboardIrq);
    this.#mouseIrq = new OutputLine(options.mouseIrq ?? UNCONNECTED);
    this.#power = options.power;
    this.#onA20 = options.onA20;
    this.#ram[0] = options.initialCommandByte ?? 0x61;
    const changed = () => this.#update();
    this.#byte = options.clock.createTimer(() => this.#byteArrived());
    this.keyboard = new Ps2Keyboard({
      clock: options.clock,
      changed,
      ...(options.onIndicators && { onIndicators: options.onIndicators }),
    });
    this.mouse = options.mouseIrq && new Ps2Mouse({ changed });
  }

  /** The controller's A20 gate. */
  get a20(): boolean {
    return this.#a20;
  }

  protected override readRegister(port: number): number {
    if (port === I8042.COMMAND) return this.#status;
    if (port !== I8042.DATA) return 0xff;
    this.#outputFull = false;
    const value = this.#output;
    this.#update();
    return value;
  }

  protected override writeRegister(port: number, value: number): void {
    if (port === I8042.COMMAND) {
      this.#lastWasCommand = true;
      this.#awaits = 0;
      this.#execute(value);
    } else if (port === I8042.DATA) {
      this.#lastWasCommand = false;
      const command = this.#awaits;
      this.#awaits = 0;
      this.#takeData(command, value);
    }
    this.#update();
  }

  get #status(): number {
    return (
      Status.UNLOCKED |
      (this.#outputFull ? Status.OBF : 0) |
      (this.#outputFull && this.#outputIsAux ? Status.AUX : 0) |
      (this.#outputFull && this.#outputIsTimeout ? Status.TIMEOUT : 0) |
      ((this.#ram[0]! & CommandByte.SYS) !== 0 ? Status.SYS : 0) |
      (this.#lastWasCommand ? Status.COMMAND : 0)
    );
  }

  #execute(command: number): void {
    if (command >= Command.READ_RAM && command <= Command.READ_RAM_LAST) this.#replyWith(this.#ram[command & 31]!);
    else if (command >= Command.WRITE_RAM && command <= Command.WRITE_RAM_LAST) this.#awaits = command;
    else if (command >= Command.PULSE_OUTPUT_PORT) this.#pulse(command & 15);
    else this.#executeOne(command);
  }

  #executeOne(command: number): void {
    switch (command) {
      case Command.TEST_PASSWORD:
        this.#replyWith(NO_PASSWORD);
        break;
      case Command.DISABLE_AUX:
        this.#ram[0]! |= CommandByte.AUX_DISABLE;
        break;
      case Command.ENABLE_AUX:
        this.#ram[0]! &= ~CommandByte.AUX_DISABLE;
        break;
      case Command.TEST_AUX:
        this.#replyWith(this.mouse === undefined ? CLOCK_LINE_STUCK_LOW : INTERFACE_GOOD);
        break;
      case Command.SELF_TEST:
        this.#ram[0]! |= CommandByte.SYS;
        this.#outputFull = false;
        this.#reply = undefined;
        this.#breakPrefix = false;
        this.#replyWith(SELF_TEST_PASSED);
        break;
      case Command.TEST_KEYBOARD:
        this.#replyWith(INTERFACE_GOOD);
        break;
      case Command.DISABLE_KEYBOARD:
        this.#ram[0]! |= CommandByte.KEYBOARD_DISABLE;
        break;
      case Command.ENABLE_KEYBOARD:
        this.#ram[0]! &= ~CommandByte.KEYBOARD_DISABLE;
        break;
      case Command.READ_INPUT_PORT:
        this.#replyWith(INPUT_PORT);
        break;
      case Command.READ_OUTPUT_PORT:
        this.#replyWith(this.#outputPort);
        break;
      case Command.WRITE_OUTPUT_PORT:
      case Command.WRITE_KEYBOARD_BUFFER:
      case Command.WRITE_AUX_BUFFER:
      case Command.WRITE_AUX:
        this.#awaits = command;
        break;
      case Command.DISABLE_A20:
      case Command.ENABLE_A20:
        this.#setA20(command === Command.ENABLE_A20);
        break;
      case Command.READ_TEST_INPUTS:
        // T0 and T1: the keyboard's clock, held low while it is disabled, and its data line, idle high.
        this.#replyWith((this.#ram[0]! & CommandByte.KEYBOARD_DISABLE) !== 0 ? 0x02 : 0x03);
        break;
      default: // reserved: the controller's firmware ignores it
        break;
    }
  }

  #takeData(command: number, value: number): void {
    if (command >= Command.WRITE_RAM && command <= Command.WRITE_RAM_LAST) {
      this.#ram[command & 31] = value;
    } else if (command === Command.WRITE_OUTPUT_PORT) {
      this.#setA20((value & OutputPort.A20) !== 0);
      if ((value & OutputPort.NO_RESET) === 0) this.#power.reset('i8042');
    } else if (command === Command.WRITE_KEYBOARD_BUFFER) {
      this.#replyWith(value);
    } else if (command === Command.WRITE_AUX_BUFFER) {
      // Without an auxiliary port the byte comes back as if from the keyboard, by which drivers tell.
      this.#replyWith(value, this.mouse !== undefined);
    } else if (command === Command.WRITE_AUX) {
      if (this.mouse === undefined) this.#replyWith(NO_ANSWER, false, true);
      else {
        this.#ram[0]! &= ~CommandByte.AUX_DISABLE; // sending lets the clock go
        this.mouse.receiveByte(value);
      }
    } else {
      this.#ram[0]! &= ~CommandByte.KEYBOARD_DISABLE;
      this.keyboard.receiveByte(value);
    }
  }

  /** Commands 0xF0 to 0xFF pulse the output port's low bits that are 0 in the command. A20 is low for some microseconds only. */
  #pulse(bits: number): void {
    if ((bits & OutputPort.NO_RESET) === 0) this.#power.reset('i8042');
  }

  get #outputPort(): number {
    return (
      OutputPort.NO_RESET |
      OutputPort.CLOCK_AND_DATA |
      (this.#a20 ? OutputPort.A20 : 0) |
      (this.#outputFull ? (this.#outputIsAux ? OutputPort.AUX_OBF : OutputPort.KEYBOARD_OBF) : 0)
    );
  }

  /** An order even when it changes nothing here: port 0x92 may have moved the gate since. */
  #setA20(enabled: boolean): void {
    this.#a20 = enabled;
    this.#onA20?.(enabled);
  }

  #replyWith(byte: number, aux = false, timeout = false): void {
    if (this.#outputFull) this.#reply = { byte, aux, timeout };
    else this.#fill(byte, aux, timeout);
  }

  #fill(byte: number, aux: boolean, timeout: boolean): void {
    this.#output = byte;
    this.#outputFull = true;
    this.#outputIsAux = aux;
    this.#outputIsTimeout = timeout;
  }

  get #keyboardReady(): boolean {
    return (this.#ram[0]! & CommandByte.KEYBOARD_DISABLE) === 0 && this.keyboard.hasByte;
  }

  get #mouseReady(): boolean {
    return (this.#ram[0]! & CommandByte.AUX_DISABLE) === 0 && this.mouse?.hasByte === true;
  }

  /** A device's byte has come over the serial line. */
  #byteArrived(): void {
    if (!this.#outputFull) {
      if (this.#keyboardReady) this.#keyboardByte(this.keyboard.takeByte());
      else if (this.#mouseReady && this.mouse !== undefined) this.#fill(this.mouse.takeByte(), true, false);
    }
    this.#update();
  }

  #keyboardByte(byte: number): void {
    if ((this.#ram[0]! & CommandByte.TRANSLATE) === 0) {
      this.#breakPrefix = false;
      this.#fill(byte, false, false);
    } else if (byte === 0xf0) {
      this.#breakPrefix = true; // nothing for the processor yet
    } else {
      this.#fill(translateToSet1(byte) | (this.#breakPrefix ? 0x80 : 0), false, false);
      this.#breakPrefix = false;
    }
  }

  /** Moves the next byte on its way to the output buffer, and drives the interrupts. */
  #update(): void {
    if (!this.#outputFull && this.#reply !== undefined) {
      const { byte, aux, timeout } = this.#reply;
      this.#reply = undefined;
      this.#driveInterrupts(); // the line falls between two bytes: the second is an edge of its own
      this.#fill(byte, aux, timeout);
    }
    if (!this.#outputFull && this.#byte.deadlineNs === undefined && (this.#keyboardReady || this.#mouseReady)) {
      this.#byte.arm(this.#clock.nowNs() + BYTE_NS);
    }
    this.#driveInterrupts();
  }

  #driveInterrupts(): void {
    const keyboard = this.#outputFull && !this.#outputIsAux && (this.#ram[0]! & CommandByte.KEYBOARD_INT) !== 0;
    const mouse = this.#outputFull && this.#outputIsAux && (this.#ram[0]! & CommandByte.AUX_INT) !== 0;
    this.#keyboardIrq.set(keyboard);
    this.#mouseIrq.set(mouse);
  }

  save(): I8042State {
    return {
      ram: this.#ram.slice(),
      output: this.#output,
      outputFull: this.#outputFull,
      outputIsAux: this.#outputIsAux,
      outputIsTimeout: this.#outputIsTimeout,
      reply: this.#reply && { ...this.#reply },
      awaits: this.#awaits,
      lastWasCommand: this.#lastWasCommand,
      a20: this.#a20,
      breakPrefix: this.#breakPrefix,
      byteDeadlineNs: this.#byte.deadlineNs,
      keyboard: this.keyboard.save(),
      mouse: this.mouse?.save(),
    };
  }

  /** The A20 line itself is the machine's state. A mouse's state is left out when this machine has none. */
  restore(state: I8042State): void {
    this.#ram.set(state.ram);
    this.#output = state.output;
    this.#outputFull = state.outputFull;
    this.#outputIsAux = state.outputIsAux;
    this.#outputIsTimeout = state.outputIsTimeout;
    this.#reply = state.reply && { ...state.reply };
    this.#awaits = state.awaits;
    this.#lastWasCommand = state.lastWasCommand;
    this.#breakPrefix = state.breakPrefix;
    this.keyboard.restore(state.keyboard);
    if (state.mouse !== undefined) this.mouse?.restore(state.mouse);
    rearm(this.#byte, state.byteDeadlineNs);
    this.#a20 = state.a20;
    this.#keyboardIrq.forget();
    this.#mouseIrq.forget();
    this.#driveInterrupts();
  }
}
