/** What sits on a PS/2 port, as the controller sees it: bytes come from it, and bytes go to it. */
export interface Ps2Device {
  /** A byte waits to be sent. */
  readonly hasByte: boolean;
  /** Takes the next byte; only while `hasByte`. */
  takeByte(): number;
  /** The controller sends a byte: a command or its argument. */
  receiveByte(byte: number): void;
}

export interface Ps2QueueState {
  readonly replies: readonly number[];
  readonly data: readonly number[];
  readonly last: number;
}

/** Replies to one command at the most: acknowledgement and result. */
const REPLIES = 8;

/** What a PS/2 device has to send: replies to commands first, then data (keys, movements). Bounded, both. */
export class Ps2Queue {
  readonly #capacity: number;
  #replies: number[] = [];
  #data: number[] = [];
  #last = 0;

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  get hasByte(): boolean {
    return this.#replies.length > 0 || this.#data.length > 0;
  }

  /** Bytes of data that still fit. */
  get space(): number {
    return this.#capacity - this.#data.length;
  }

  take(): number {
    const byte = this.#replies.shift() ?? this.#data.shift() ?? 0;
    this.#last = byte;
    return byte;
  }

  /** The byte sent last, for the resend command. */
  get last(): number {
    return this.#last;
  }

  reply(...bytes: number[]): void {
    this.#replies.push(...bytes.slice(0, REPLIES - this.#replies.length));
  }

  /** A new command ends what was left of the reply to the one before. */
  dropReplies(): void {
    this.#replies.length = 0;
  }

  /** Queues bytes that belong together; the caller asks `space` first. */
  push(...bytes: number[]): void {
    this.#data.push(...bytes.slice(0, this.space));
  }

  clear(): void {
    this.#replies.length = 0;
    this.#data.length = 0;
  }

  clearData(): void {
    this.#data.length = 0;
  }

  save(): Ps2QueueState {
    return { replies: this.#replies.slice(), data: this.#data.slice(), last: this.#last };
  }

  restore(state: Ps2QueueState): void {
    this.#replies = state.replies.slice();
    this.#data = state.data.slice();
    this.#last = state.last;
  }
}
