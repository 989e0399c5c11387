import type { Clock, Timer } from '@minusone/core';
import type { Uart16550A } from '@minusone/devices';

/** Time between two bytes on the line: 115,200 baud, ten bits a byte. */
const BYTE_NS = 86_806;
/** How long a guest may take to answer a line without ever being idle before the next one comes anyway. */
const PATIENCE_NS = 200_000_000;
const LINE_FEED = 10;
const CARRIAGE_RETURN = 13;

/**
 * Feeds bytes to a guest's UART at the pace of the guest's own clock, so that on the virtual clock every run gets them at the same instructions.
 *
 * No byte is lost: one is sent only while the receiver is empty and the guest has its receive interrupt on, and after each line the guest is
 * given time until it has been idle once, since a terminal's input queue is shorter than a file.
 */
export class InputFeeder {
  readonly #uart: Uart16550A;
  readonly #timer: Timer;
  readonly #clock: Clock;
  readonly #next: () => number | undefined;
  readonly #idleCount: () => number;
  #held: number | undefined;
  #waitsSinceNs = -1;
  #idleBefore = 0;

  /**
   * @param next the next byte to feed, or undefined when there is none now
   * @param idleCount how often the guest has been idle so far
   */
  constructor(clock: Clock, uart: Uart16550A, next: () => number | undefined, idleCount: () => number) {
    this.#clock = clock;
    this.#uart = uart;
    this.#next = next;
    this.#idleCount = idleCount;
    this.#timer = clock.createTimer(() => this.#tick());
  }

  /** There may be something to feed. */
  wake(): void {
    if (this.#timer.deadlineNs === undefined) this.#timer.arm(this.#clock.nowNs() + BYTE_NS);
  }

  #tick(): void {
    this.#held ??= this.#next();
    if (this.#held === undefined) return;
    if (this.#isReady()) {
      const byte = this.#held;
      this.#uart.receive([byte]);
      this.#held = undefined;
      if (byte === LINE_FEED || byte === CARRIAGE_RETURN) {
        this.#waitsSinceNs = this.#clock.nowNs();
        this.#idleBefore = this.#idleCount();
      }
    }
    this.#timer.arm(this.#clock.nowNs() + BYTE_NS);
  }

  #isReady(): boolean {
    if (!this.#uart.isReceiveInterruptEnabled || this.#uart.receiveSpace === 0 || !this.#uart.isReceiverEmpty) return false;
    if (this.#waitsSinceNs < 0) return true;
    const isAnswered = this.#idleCount() !== this.#idleBefore || this.#clock.nowNs() - this.#waitsSinceNs > PATIENCE_NS;
    if (isAnswered) this.#waitsSinceNs = -1;
    return isAnswered;
  }
}
