import { type Clock, InvalidArgumentError, type Snapshotable, type Timer } from '@minusone/core';
import { rearm } from '../wire.ts';
import { type Ps2Device, Ps2Queue, type Ps2QueueState } from './ps2-port.ts';
import { keyBytes } from './scan-codes.ts';

/** Commands of the keyboard (IBM PS/2 technical reference, "Keyboards: commands from the system"). */
const Command = {
  SET_INDICATORS: 0xed,
  ECHO: 0xee,
  SCAN_CODE_SET: 0xf0,
  READ_ID: 0xf2,
  SET_TYPEMATIC: 0xf3,
  ENABLE: 0xf4,
  DEFAULT_DISABLE: 0xf5,
  SET_DEFAULT: 0xf6,
  /** Set key types of set 3, for all keys (0xF7 to 0xFA) and for one (0xFB to 0xFD). */
  ALL_KEYS_FIRST: 0xf7,
  ALL_KEYS_LAST: 0xfa,
  RESEND: 0xfe,
  RESET: 0xff,
} as const;

const ACK = 0xfa;
const RESEND = 0xfe;
const SELF_TEST_PASSED = 0xaa;
const KEYBOARD_ID = [0xab, 0x83] as const;
const BUFFER_BYTES = 16;
/** 500 ms, 10.9 characters a second: the power-on typematic byte. */
const DEFAULT_TYPEMATIC = 0x2b;

export interface Ps2KeyboardState {
  readonly queue: Ps2QueueState;
  readonly awaits: number;
  readonly scanCodeSet: 1 | 2;
  readonly scanning: boolean;
  readonly indicators: number;
  readonly typematic: number;
  readonly pressed: readonly string[];
  readonly repeating: string | undefined;
  readonly repeatDeadlineNs: number | undefined;
}

/**
 * A 104-key PS/2 keyboard with scan code sets 1 and 2 and typematic repeat. Asked for set 3 it answers 0xFE, as
 * keyboards without it do; so the key types of set 3 (0xF7 to 0xFD) are refused, too.
 */
export class Ps2Keyboard implements Ps2Device, Snapshotable<Ps2KeyboardState> {
  readonly #clock: Clock;
  readonly #changed: () => void;
  readonly #onIndicators: ((indicators: number) => void) | undefined;
  readonly #repeat: Timer;
  readonly #queue = new Ps2Queue(BUFFER_BYTES);
  /** The command whose argument comes next, or 0. */
  #awaits = 0;
  #scanCodeSet: 1 | 2 = 2;
  #scanning = true;
  #indicators = 0;
  #typematic = DEFAULT_TYPEMATIC;
  readonly #pressed = new Set<string>();
  #repeating: string | undefined;

  /**
   * @param options.changed a byte waits to be sent
   * @param options.onIndicators the guest set the lamps: bit 0 Scroll Lock, 1 Num Lock, 2 Caps Lock
   */
  constructor(options: { readonly clock: Clock; readonly changed: () => void; readonly onIndicators?: (indicators: number) => void }) {
    this.#clock = options.clock;
    this.#changed = options.changed;
    this.#onIndicators = options.onIndicators;
    this.#repeat = options.clock.createTimer(() => this.#repeatKey());
  }

  /** The lamps: bit 0 Scroll Lock, 1 Num Lock, 2 Caps Lock. */
  get indicators(): number {
    return this.#indicators;
  }

  /** Bytes that the keyboard can still hold for the guest, of 16. A key takes up to 8. */
  get space(): number {
    return this.#queue.space;
  }

  /**
   * Presses a key. A key that is down already is left alone: the keyboard repeats it by itself.
   * @param key as in `KeyboardEvent.code`: `KeyA`, `Enter`, `ArrowUp` ...
   * @returns false when the keyboard's buffer is full, and the key is lost but for the overrun code
   * @throws {InvalidArgumentError} there is no such key
   */
  pressKey(key: string): boolean {
    const bytes = this.#bytesOf(key, true);
    if (this.#pressed.has(key)) return true;
    this.#pressed.add(key);
    if (key !== 'Pause') {
      this.#repeating = key;
      this.#repeat.arm(this.#clock.nowNs() + (1 + ((this.#typematic >>> 5) & 3)) * 250e6);
    }
    return this.#send(bytes);
  }

  /** Releases a key; one that is not down is left alone. Parameters and result as for `pressKey`. */
  releaseKey(key: string): boolean {
    const bytes = this.#bytesOf(key, false);
    if (!this.#pressed.delete(key)) return true;
    if (this.#repeating === key) this.#stopRepeating();
    return this.#send(bytes);
  }

  /** Sends scan codes as they are, whatever the scan code set. @returns as `pressKey` */
  sendScanCodes(codes: readonly number[]): boolean {
    return this.#send(codes.map((code) => code & 0xff));
  }

  #bytesOf(key: string, pressed: boolean): number[] {
    const bytes = keyBytes(key, pressed, this.#scanCodeSet);
    if (bytes === undefined) {
      throw new InvalidArgumentError(`The keyboard has no key '${key}'.`, 'Use the names of KeyboardEvent.code, such as KeyA or Enter.', {
        key,
      });
    }
    return bytes;
  }

  /** Keys leave one place of the buffer for the overrun code (0xFF in set 1, otherwise 0). */
  #send(bytes: readonly number[]): boolean {
    if (!this.#scanning) return true;
    const fits = bytes.length < this.#queue.space;
    if (fits) this.#queue.push(...bytes);
    else this.#queue.push(this.#scanCodeSet === 1 ? 0xff : 0x00);
    this.#changed();
    return fits;
  }

  #stopRepeating(): void {
    this.#repeating = undefined;
    this.#repeat.cancel();
  }

  /** Set typematic rate and delay: a period of (8 + bits 2-0) * 2^(bits 4-3) * 4.17 ms. */
  #repeatKey(): void {
    if (this.#repeating === undefined) return;
    const bytes = this.#bytesOf(this.#repeating, true);
    if (this.#scanning && bytes.length < this.#queue.space) {
      this.#queue.push(...bytes);
      this.#changed();
    }
    const periodNs = (8 + (this.#typematic & 7)) * 2 ** ((this.#typematic >>> 3) & 3) * 4_166_667;
    this.#repeat.arm(this.#clock.nowNs() + periodNs);
  }

  get hasByte(): boolean {
    return this.#queue.hasByte;
  }

  takeByte(): number {
    return this.#queue.take();
  }

  receiveByte(byte: number): void {
    const command = this.#awaits;
    this.#awaits = 0;
    if (byte !== Command.RESEND) this.#queue.dropReplies();
    // A byte that can be no argument is a command, and ends the one that waited.
    if (command !== 0 && byte < 0x80) this.#argument(command, byte);
    else this.#command(byte);
    this.#changed();
  }

  #argument(command: number, value: number): void {
    if (command === Command.SCAN_CODE_SET) {
      if (value === 0) this.#queue.reply(ACK, this.#scanCodeSet);
      else if (value === 1 || value === 2) {
        this.#scanCodeSet = value;
        this.#queue.clearData();
        this.#queue.reply(ACK);
      } else this.#queue.reply(RESEND);
      return;
    }
    if (command === Command.SET_INDICATORS) {
      this.#indicators = value & 7;
      this.#onIndicators?.(this.#indicators);
    } else {
      this.#typematic = value & 0x7f;
    }
    this.#queue.reply(ACK);
  }

  #command(command: number): void {
    switch (command) {
      case Command.SET_INDICATORS:
      case Command.SCAN_CODE_SET:
      case Command.SET_TYPEMATIC:
        this.#awaits = command;
        this.#queue.reply(ACK);
        break;
      case Command.ECHO:
        this.#queue.reply(Command.ECHO);
        break;
      case Command.READ_ID:
        this.#queue.reply(ACK, ...KEYBOARD_ID);
        break;
      case Command.ENABLE:
        this.#queue.clearData();
        this.#scanning = true;
        this.#queue.reply(ACK);
        break;
      case Command.DEFAULT_DISABLE:
      case Command.SET_DEFAULT:
        this.#setDefaults();
        this.#scanning = command === Command.SET_DEFAULT;
        this.#queue.reply(ACK);
        break;
      case Command.RESEND:
        this.#queue.reply(this.#queue.last);
        break;
      case Command.RESET:
        this.#setDefaults();
        this.#scanning = true;
        this.#indicators = 0;
        this.#onIndicators?.(0);
        this.#queue.reply(ACK, SELF_TEST_PASSED);
        break;
      default:
        this.#queue.reply(RESEND);
        break;
    }
  }

  #setDefaults(): void {
    this.#queue.clearData();
    this.#stopRepeating();
    this.#scanCodeSet = 2;
    this.#typematic = DEFAULT_TYPEMATIC;
  }

  save(): Ps2KeyboardState {
    return {
      queue: this.#queue.save(),
      awaits: this.#awaits,
      scanCodeSet: this.#scanCodeSet,
      scanning: this.#scanning,
      indicators: this.#indicators,
      typematic: this.#typematic,
      pressed: [...this.#pressed],
      repeating: this.#repeating,
      repeatDeadlineNs: this.#repeat.deadlineNs,
    };
  }

  restore(state: Ps2KeyboardState): void {
    this.#queue.restore(state.queue);
    this.#awaits = state.awaits;
    this.#scanCodeSet = state.scanCodeSet;
    this.#scanning = state.scanning;
    this.#indicators = state.indicators;
    this.#typematic = state.typematic;
    this.#pressed.clear();
    for (const key of state.pressed) this.#pressed.add(key);
    this.#repeating = state.repeating;
    rearm(this.#repeat, state.repeatDeadlineNs);
  }
}
