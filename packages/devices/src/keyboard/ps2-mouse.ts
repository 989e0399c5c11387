import type { Snapshotable } from '@minusone/core';
import { type Ps2Device, Ps2Queue, type Ps2QueueState } from './ps2-port.ts';

/** Commands of the mouse (IBM PS/2 technical reference, "Auxiliary device / mouse commands"). */
const Command = {
  RESET_SCALING: 0xe6,
  SET_SCALING: 0xe7,
  SET_RESOLUTION: 0xe8,
  STATUS_REQUEST: 0xe9,
  SET_STREAM_MODE: 0xea,
  READ_DATA: 0xeb,
  RESET_WRAP_MODE: 0xec,
  SET_WRAP_MODE: 0xee,
  SET_REMOTE_MODE: 0xf0,
  READ_DEVICE_TYPE: 0xf2,
  SET_SAMPLING_RATE: 0xf3,
  ENABLE: 0xf4,
  DISABLE: 0xf5,
  SET_DEFAULT: 0xf6,
  RESEND: 0xfe,
  RESET: 0xff,
} as const;

const ACK = 0xfa;
const RESEND = 0xfe;
const SELF_TEST_PASSED = 0xaa;
const BUFFER_BYTES = 16;
const MAX_MOVEMENT = 1 << 20;

/** A wheel mouse shows itself (device type 3, four-byte packets) to a driver that sets these sampling rates in turn (Microsoft IntelliMouse). */
const WHEEL_KNOCK = [200, 100, 80] as const;

export interface Ps2MouseState {
  readonly queue: Ps2QueueState;
  readonly awaits: number;
  readonly streaming: boolean;
  readonly wrapping: boolean;
  readonly remote: boolean;
  readonly scaling: boolean;
  readonly resolution: number;
  readonly samplingRate: number;
  readonly rates: readonly number[];
  readonly wheel: boolean;
  readonly buttons: number;
  readonly sentButtons: number;
  readonly movement: readonly [number, number, number];
}

/** A PS/2 mouse with three buttons and a wheel. Movement adds up until there is room for a packet, so that none is lost. */
export class Ps2Mouse implements Ps2Device, Snapshotable<Ps2MouseState> {
  readonly #changed: () => void;
  readonly #queue = new Ps2Queue(BUFFER_BYTES);
  #awaits = 0;
  #streaming = false;
  #wrapping = false;
  #remote = false;
  #scaling = false;
  #resolution = 2;
  #samplingRate = 100;
  #rates: number[] = [];
  #wheel = false;
  #buttons = 0;
  #sentButtons = 0;
  #dx = 0;
  #dy = 0;
  #dz = 0;

  /** @param options.changed a byte waits to be sent */
  constructor(options: { readonly changed: () => void }) {
    this.#changed = options.changed;
  }

  /**
   * The mouse moves, or its buttons change.
   * @param dx counts to the right @param dy counts up @param dz clicks of the wheel towards the user
   * @param buttons bit 0 left, 1 right, 2 middle
   */
  move(dx: number, dy: number, dz = 0, buttons: number = this.#buttons): void {
    this.#dx = clamp(this.#dx + Math.trunc(dx), MAX_MOVEMENT);
    this.#dy = clamp(this.#dy + Math.trunc(dy), MAX_MOVEMENT);
    this.#dz = clamp(this.#dz + Math.trunc(dz), MAX_MOVEMENT);
    this.#buttons = buttons & 7;
    this.#stream();
  }

  get hasByte(): boolean {
    return this.#queue.hasByte;
  }

  takeByte(): number {
    const byte = this.#queue.take();
    if (!this.#queue.hasByte) this.#stream();
    return byte;
  }

  /** Reports what has happened since the last report, while there is anything and room for it. */
  #stream(): void {
    if (!this.#streaming || this.#remote || this.#wrapping) return;
    const packet = this.#wheel ? 4 : 3;
    let reported = false;
    while (this.#hasNews && this.#queue.space >= packet) {
      this.#queue.push(...this.#packet(this.#scaling));
      reported = true;
    }
    if (reported) this.#changed();
  }

  get #hasNews(): boolean {
    return this.#dx !== 0 || this.#dy !== 0 || (this.#wheel && this.#dz !== 0) || this.#buttons !== this.#sentButtons;
  }

  /** A data report: buttons, signs and a 1; X; Y; and Z for a wheel. Nine bits of movement each. */
  #packet(scaled: boolean): number[] {
    const dx = clamp(this.#dx, 255);
    const dy = clamp(this.#dy, 255);
    const dz = clamp(this.#dz, 7);
    this.#dx -= dx;
    this.#dy -= dy;
    this.#dz = this.#wheel ? this.#dz - dz : 0;
    this.#sentButtons = this.#buttons;
    const x = scaled ? scale(dx) : dx;
    const y = scaled ? scale(dy) : dy;
    const first = this.#buttons | 0x08 | (x < 0 ? 0x10 : 0) | (y < 0 ? 0x20 : 0);
    return [first, x & 0xff, y & 0xff, ...(this.#wheel ? [dz & 0xff] : [])];
  }

  receiveByte(byte: number): void {
    const command = this.#awaits;
    this.#awaits = 0;
    if (this.#wrapping && byte !== Command.RESET && byte !== Command.RESET_WRAP_MODE) {
      this.#queue.dropReplies();
      this.#queue.reply(byte);
    } else {
      if (byte !== Command.RESEND) this.#queue.dropReplies();
      if (command !== 0) this.#argument(command, byte);
      else this.#command(byte);
    }
    this.#changed();
  }

  #argument(command: number, value: number): void {
    if (command === Command.SET_RESOLUTION) {
      this.#resolution = value & 3;
    } else {
      this.#samplingRate = value;
      this.#rates = [...this.#rates, value].slice(-WHEEL_KNOCK.length);
      if (WHEEL_KNOCK.every((rate, at) => this.#rates[at] === rate)) this.#wheel = true;
    }
    this.#queue.reply(ACK);
  }

  #command(command: number): void {
    if (command === Command.RESEND) {
      this.#queue.reply(this.#queue.last);
      return;
    }
    if (command < Command.RESET_SCALING || (command > Command.DISABLE && command < Command.SET_DEFAULT)) {
      this.#queue.reply(RESEND);
      return;
    }
    this.#queue.clearData();
    switch (command) {
      case Command.RESET_SCALING:
      case Command.SET_SCALING:
        this.#scaling = command === Command.SET_SCALING;
        break;
      case Command.SET_RESOLUTION:
      case Command.SET_SAMPLING_RATE:
        this.#awaits = command;
        break;
      case Command.STATUS_REQUEST:
        this.#queue.reply(ACK, this.#status, this.#resolution, this.#samplingRate);
        return;
      case Command.SET_STREAM_MODE:
      case Command.SET_REMOTE_MODE:
        this.#remote = command === Command.SET_REMOTE_MODE;
        break;
      case Command.READ_DATA:
        this.#queue.reply(ACK, ...this.#packet(false));
        return;
      case Command.RESET_WRAP_MODE:
      case Command.SET_WRAP_MODE:
        this.#wrapping = command === Command.SET_WRAP_MODE;
        break;
      case Command.READ_DEVICE_TYPE:
        this.#queue.reply(ACK, this.#wheel ? 3 : 0);
        return;
      case Command.ENABLE:
      case Command.DISABLE:
        this.#streaming = command === Command.ENABLE;
        this.#forgetMovement();
        break;
      case Command.SET_DEFAULT:
        this.#setDefaults();
        break;
      case Command.RESET:
        this.#setDefaults();
        this.#wheel = false;
        this.#queue.reply(ACK, SELF_TEST_PASSED, 0);
        return;
      default:
        this.#queue.reply(RESEND);
        return;
    }
    this.#queue.reply(ACK);
  }

  /** Status request, byte 1. */
  get #status(): number {
    const [left, right, middle] = [this.#buttons & 1, (this.#buttons >>> 1) & 1, (this.#buttons >>> 2) & 1];
    return (this.#remote ? 0x40 : 0) | (this.#streaming ? 0x20 : 0) | (this.#scaling ? 0x10 : 0) | (left << 2) | (middle << 1) | right;
  }

  #setDefaults(): void {
    this.#streaming = false;
    this.#wrapping = false;
    this.#remote = false;
    this.#scaling = false;
    this.#resolution = 2;
    this.#samplingRate = 100;
    this.#rates = [];
    this.#forgetMovement();
  }

  #forgetMovement(): void {
    this.#dx = 0;
    this.#dy = 0;
    this.#dz = 0;
    this.#sentButtons = this.#buttons;
  }

  save(): Ps2MouseState {
    return {
      queue: this.#queue.save(),
      awaits: this.#awaits,
      streaming: this.#streaming,
      wrapping: this.#wrapping,
      remote: this.#remote,
      scaling: this.#scaling,
      resolution: this.#resolution,
      samplingRate: this.#samplingRate,
      rates: this.#rates.slice(),
      wheel: this.#wheel,
      buttons: this.#buttons,
      sentButtons: this.#sentButtons,
      movement: [this.#dx, this.#dy, this.#dz],
    };
  }

  restore(state: Ps2MouseState): void {
    this.#queue.restore(state.queue);
    this.#awaits = state.awaits;
    this.#streaming = state.streaming;
    this.#wrapping = state.wrapping;
    this.#remote = state.remote;
    this.#scaling = state.scaling;
    this.#resolution = state.resolution;
    this.#samplingRate = state.samplingRate;
    this.#rates = state.rates.slice();
    this.#wheel = state.wheel;
    this.#buttons = state.buttons;
    this.#sentButtons = state.sentButtons;
    [this.#dx, this.#dy, this.#dz] = state.movement;
  }
}

function clamp(value: number, limit: number): number {
  return Math.max(-limit, Math.min(limit, value));
}

/** Scaling 2:1: counts 1 to 5 become 1, 1, 3, 6, 9, and more are doubled. */
function scale(counts: number): number {
  const table = [0, 1, 1, 3, 6, 9];
  const size = Math.abs(counts);
  return Math.sign(counts) * Math.min(255, table[size] ?? 2 * size);
}
