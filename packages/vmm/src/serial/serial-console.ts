import { TextNotSeenError } from '../errors.ts';

/** How much output `waitFor` can look back on, in characters. */
const KEPT_CHARACTERS = 1 << 20;

interface Waiter {
  readonly text: string;
  /** Where in the whole output the search begins. */
  readonly from: number;
  readonly resolve: (output: string) => void;
  readonly reject: (error: Error) => void;
}

/**
 * The other end of a guest's serial line: web streams of bytes, and text to wait for and to type.
 * Output that nobody reads is not kept, but for what `waitFor` looks back on.
 */
export class SerialConsole {
  /** What the guest sends. */
  readonly readable: ReadableStream<Uint8Array>;
  /** What the guest receives. Writes are taken at once and fed at the guest's pace. */
  readonly writable: WritableStream<Uint8Array>;
  #controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  readonly #listeners: ((bytes: Uint8Array) => void)[] = [];
  readonly #decoder = new TextDecoder();
  readonly #outgoing: number[] = [];
  readonly #input: number[] = [];
  readonly #onInput: () => void;
  #text = '';
  /** Characters of output that have been dropped from the front of `#text`. */
  #dropped = 0;
  /** Where the next `waitFor` begins. */
  #mark = 0;
  #waiters: Waiter[] = [];
  #ended: string | undefined;

  /** @param onInput called when there is something for the guest */
  constructor(onInput: () => void) {
    this.#onInput = onInput;
    this.readable = new ReadableStream<Uint8Array>({
      start: (controller) => {
        this.#controller = controller;
      },
      cancel: () => {
        this.#controller = undefined;
      },
    });
    this.writable = new WritableStream<Uint8Array>({ write: (bytes) => this.send(bytes) });
  }

  /** Types text, or sends bytes, to the guest. */
  send(data: string | Uint8Array): void {
    const bytes = typeof data === 'string' ? new TextEncoder().encode(data) : data;
    for (const byte of bytes) this.#input.push(byte);
    this.#onInput();
  }

  /** Hears of every piece of output as it comes. */
  onOutput(listener: (bytes: Uint8Array) => void): void {
    this.#listeners.push(listener);
  }

  /** The end of what the guest has sent so far, as text. */
  get recentOutput(): string {
    return this.#text;
  }

  /**
   * Resolves when the guest has sent `text`, after what the previous `waitFor` found; with the output up to and including it.
   *
   * @param options.timeoutMs wall time; default: none
   * @throws {TextNotSeenError} the machine ended or the time was up first
   */
  waitFor(text: string, options: { readonly timeoutMs?: number } = {}): Promise<string> {
    return new Promise((resolve, reject) => {
      let timer: ReturnType<typeof setTimeout> | undefined;
      const waiter: Waiter = {
        text,
        from: this.#mark,
        resolve: (output) => {
          clearTimeout(timer);
          resolve(output);
        },
        reject: (error) => {
          clearTimeout(timer);
          reject(error);
        },
      };
      this.#waiters.push(waiter);
      if (options.timeoutMs !== undefined)
        timer = setTimeout(() => this.#fail(waiter, `${options.timeoutMs} ms have passed`), options.timeoutMs);
      this.#look();
      if (this.#ended !== undefined) this.#fail(waiter, this.#ended);
    });
  }

  // For the machine

  /** The guest sent a byte. Bytes are handed on by `flush`. */
  transmitted(byte: number): void {
    this.#outgoing.push(byte);
  }

  /** Hands on what the guest has sent since the last flush. */
  flush(): void {
    if (this.#outgoing.length === 0) return;
    const bytes = Uint8Array.from(this.#outgoing);
    this.#outgoing.length = 0;
    this.#controller?.enqueue(bytes);
    for (const listener of this.#listeners) listener(bytes);
    this.#text += this.#decoder.decode(bytes, { stream: true });
    if (this.#text.length > 2 * KEPT_CHARACTERS) {
      this.#dropped += this.#text.length - KEPT_CHARACTERS;
      this.#text = this.#text.slice(-KEPT_CHARACTERS);
    }
    this.#look();
  }

  /** The next byte for the guest, or undefined. */
  nextInput(): number | undefined {
    return this.#input.shift();
  }
  get hasInput(): boolean {
    return this.#input.length > 0;
  }

  /** The machine has ended: nothing more comes. */
  end(why: string): void {
    this.flush();
    this.#ended = why;
    for (const waiter of [...this.#waiters]) this.#fail(waiter, why);
    this.#controller?.close();
    this.#controller = undefined;
  }

  #look(): void {
    for (const waiter of [...this.#waiters]) {
      const start = Math.max(Math.max(waiter.from, this.#mark) - this.#dropped, 0);
      const at = this.#text.indexOf(waiter.text, start);
      if (at < 0) continue;
      const end = at + waiter.text.length;
      this.#mark = end + this.#dropped;
      this.#waiters = this.#waiters.filter((other) => other !== waiter);
      waiter.resolve(this.#text.slice(start, end));
    }
  }

  #fail(waiter: Waiter, why: string): void {
    if (!this.#waiters.includes(waiter)) return;
    this.#waiters = this.#waiters.filter((other) => other !== waiter);
    waiter.reject(new TextNotSeenError(waiter.text, why, this.#text.slice(-200)));
  }
}
