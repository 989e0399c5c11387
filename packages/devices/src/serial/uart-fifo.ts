/** Depth of either FIFO, in characters (PC16550D, "FIFO Control Register"). */
export const FIFO_BYTES = 16;

/** A saved FIFO: characters with the line-status bits that came with each, oldest first. */
export interface UartFifoState {
  readonly bytes: readonly number[];
  readonly errors: readonly number[];
}

/** A FIFO of the 16550A: up to 16 characters, each with its line-status error bits (PE, FE, BI). */
export class UartFifo {
  readonly #bytes = new Uint8Array(FIFO_BYTES);
  readonly #errors = new Uint8Array(FIFO_BYTES);
  #first = 0;
  #count = 0;

  get count(): number {
    return this.#count;
  }

  /** Drops the character when 16 are there already: the caller asks `count` first. */
  push(byte: number, errors: number): void {
    if (this.#count === FIFO_BYTES) return;
    const at = (this.#first + this.#count++) % FIFO_BYTES;
    this.#bytes[at] = byte;
    this.#errors[at] = errors;
  }

  /** Takes the oldest character. The FIFO must not be empty. */
  shift(): number {
    const byte = this.#bytes[this.#first]!;
    this.#first = (this.#first + 1) % FIFO_BYTES;
    this.#count--;
    return byte;
  }

  /** Error bits of the oldest character; 0 when empty. */
  get firstErrors(): number {
    return this.#count > 0 ? this.#errors[this.#first]! : 0;
  }

  clearFirstErrors(): void {
    this.#errors[this.#first] = 0;
  }

  get holdsError(): boolean {
    for (let at = 0; at < this.#count; at++) if (this.#errors[(this.#first + at) % FIFO_BYTES] !== 0) return true;
    return false;
  }

  clear(): void {
    this.#count = 0;
  }

  save(): UartFifoState {
    const places = Array.from({ length: this.#count }, (_, at) => (this.#first + at) % FIFO_BYTES);
    return { bytes: places.map((at) => this.#bytes[at]!), errors: places.map((at) => this.#errors[at]!) };
  }

  restore(state: UartFifoState): void {
    this.clear();
    state.bytes.forEach((byte, at) => {
      this.push(byte, state.errors[at] ?? 0);
    });
  }
}
