import type { Clock, Timer } from '@minusone/core';
import type { Uart16550A } from '@minusone/devices';

/** Time between two bytes on the line: 115,200 baud, ten bits a byte. */
const BYTE_NS = 86_806;
/** A guest that is idle again and again for so long has answered a line. Shorter pauses come in the middle of work: Linux lets a terminal drain for 20 ms. */
const IDLE_NS = 100_000_000;
/** How long a guest may take to answer a line without being idle before the next one comes anyway. */
const PATIENCE_NS = 1_000_000_000;
const LINE_FEED = 10;
const CARRIAGE_RETURN = 13;

/**
 * Feeds bytes to a guest's UART at the pace of the guest's own clock, so that on the virtual clock every run gets them at the same instructions.
 *
 * No byte is lost: one is sent only while the receiver is empty, and the guest has its receive interrupt on or polls for a byte. After each line the
 * guest is given time until it has nothing left to do, so that a terminal's input queue does not overflow and its echo does not mix with output.
 */
export class InputFeeder {
  readonly #uart: Uart16550A;
  readonly #timer: Timer;
  readonly #clock: Clock;
  readonly #next: () => number | undefined;
  readonly #idleCount: () => number;
  #held: number | undefined;
  /** When the last line ended, or the guest began to listen. Undefined: that has been answered. */
  #waitsSinceNs: number | undefined;
  #isListened = false;
  #idleBefore = 0;
  /** The guest has been idle in every byte time since. */
  #idleSinceNs = 0;

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
      if (byte === LINE_FEED || byte === CARRIAGE_RETURN) this.#waitForAnswer();
    }
    this.#timer.arm(this.#clock.nowNs() + BYTE_NS);
  }

  #waitForAnswer(): void {
    this.#waitsSinceNs = this.#clock.nowNs();
    this.#idleSinceNs = this.#waitsSinceNs;
  }

  #isReady(): boolean {
    const nowNs = this.#clock.nowNs();
    if (this.#idleCount() === this.#idleBefore) this.#idleSinceNs = nowNs;
    this.#idleBefore = this.#idleCount();
    if (this.#uart.receiveSpace === 0 || !this.#uart.isReceiverEmpty) return false;
    if (this.#uart.isReceiverPolled) return true;
    if (!this.#uart.isReceiveInterruptEnabled) return false;
    if (!this.#isListened) {
      // A driver listens before there is anybody to read what it hears.
      this.#isListened = true;
      this.#waitForAnswer();
    }
    if (this.#waitsSinceNs === undefined) return true;
    if (nowNs - this.#idleSinceNs < IDLE_NS && nowNs - this.#waitsSinceNs < PATIENCE_NS) return false;
    this.#waitsSinceNs = undefined;
    return true;
  }
}
