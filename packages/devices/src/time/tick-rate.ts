/**
 * The ticks of a crystal as a function of nanoseconds, exact for as long as a machine may live: the rate is a ratio of
 * whole numbers (ticks per nanoseconds), and the arithmetic never leaves the integers that a Number holds.
 */
export class TickRate {
  readonly #ticks: number;
  readonly #ns: number;

  /** `ticks` ticks take `ns` nanoseconds. Both are whole, and small enough that their product stays below 2^53. */
  constructor(ticks: number, ns: number) {
    this.#ticks = ticks;
    this.#ns = ns;
  }

  /** How many ticks are complete at `ns`. */
  ticksAt(ns: number): number {
    const whole = Math.floor(ns / this.#ns);
    return whole * this.#ticks + Math.floor(((ns - whole * this.#ns) * this.#ticks) / this.#ns);
  }

  /** The first nanosecond at which `tick` is complete. */
  nsOf(tick: number): number {
    const whole = Math.floor(tick / this.#ticks);
    return whole * this.#ns + Math.ceil(((tick - whole * this.#ticks) * this.#ns) / this.#ticks);
  }
}

/** The 8254's clock on a PC: a twelfth of 14.31818 MHz, which is 105/88 MHz (1.1931818 MHz). */
export const PIT_RATE: TickRate = new TickRate(105, 88_000);
/** The ACPI power management timer: a quarter of 14.31818 MHz, which is 315/88 MHz (3.579545 MHz). */
export const PM_TIMER_RATE: TickRate = new TickRate(315, 88_000);
/** A watch crystal: 32.768 kHz. */
export const RTC_RATE: TickRate = new TickRate(64, 1_953_125);
