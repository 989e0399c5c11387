/** Saved state of one counter of the 8254. Times in ticks of its clock. */
export interface PitCounterState {
  readonly mode: number;
  readonly access: number;
  readonly bcd: boolean;
  readonly gate: boolean;
  readonly out: boolean;
  readonly nullCount: boolean;
  readonly counting: boolean;
  readonly loadPending: boolean;
  readonly strobeArmed: boolean;
  readonly hasCount: boolean;
  readonly initialCount: number;
  readonly loadedCount: number;
  readonly element: number;
  readonly halfLeft: number;
  readonly countLatch: number | undefined;
  readonly statusLatch: number | undefined;
  readonly writeLow: number | undefined;
  readonly readHighNext: boolean;
}

/** Control word, RW1 and RW0. */
const Access = { LOW: 1, HIGH: 2, LOW_THEN_HIGH: 3 } as const;

/**
 * One counter of the 8254 (Intel 8254 data sheet, order 231164, "Mode Definitions"). It knows no time: its owner tells
 * it how many clock pulses came (`advance`), in closed form, however many they are, and asks when OUT changes next.
 */
export class PitCounter {
  #mode = 0;
  #access: number = Access.LOW_THEN_HIGH;
  #bcd = false;
  #gate: boolean;
  #out = false;
  /** OUT was low for a moment during `advance`, though it may be high again. */
  #wasLow = false;
  #nullCount = true;
  /** A count was loaded into the counting element, and a first byte of mode 0 has not stopped it. */
  #counting = false;
  /** The next clock pulse loads the counting element. */
  #loadPending = false;
  /** OUT has yet to react to this count's end (modes 0, 1, 4, 5). */
  #strobeArmed = false;
  #hasCount = false;
  /** The count register CR, 1 to 65536 (10000 in BCD). */
  #initialCount = 0x10000;
  /** Mode 3: the count of the half cycle that runs. */
  #loadedCount = 0x10000;
  /** The counting element CE, 0 to 65536: the largest count shows as 0. */
  #element = 0;
  /** Mode 3: pulses left of this half cycle. */
  #halfLeft = 0;
  #countLatch: number | undefined;
  #statusLatch: number | undefined;
  /** The first byte of a two-byte count. */
  #writeLow: number | undefined;
  #readHighNext = false;

  constructor(gate: boolean) {
    this.#gate = gate;
  }

  get out(): boolean {
    return this.#out;
  }

  get gate(): boolean {
    return this.#gate;
  }

  get #modulus(): number {
    return this.#bcd ? 10_000 : 0x10000;
  }

  /** A control word for this counter that is no latch command. */
  writeControl(value: number): void {
    this.#access = (value >>> 4) & 3;
    const mode = (value >>> 1) & 7;
    this.#mode = mode > 5 ? mode - 4 : mode; // x10 and x11 are modes 2 and 3
    this.#bcd = (value & 1) !== 0;
    this.#out = this.#mode !== 0;
    this.#nullCount = true;
    this.#counting = false;
    this.#loadPending = false;
    this.#strobeArmed = false;
    this.#hasCount = false;
    this.#element %= this.#modulus;
    this.#countLatch = undefined;
    this.#statusLatch = undefined;
    this.#writeLow = undefined;
    this.#readHighNext = false;
  }

  writeCount(value: number): void {
    if (this.#access === Access.LOW) this.#setCount(value);
    else if (this.#access === Access.HIGH) this.#setCount(value << 8);
    else if (this.#writeLow === undefined) {
      this.#writeLow = value;
      if (this.#mode === 0) {
        // "Writing the first byte disables counting. OUT is set low immediately."
        this.#counting = false;
        this.#loadPending = false;
        this.#out = false;
      }
    } else {
      this.#setCount(this.#writeLow | (value << 8));
      this.#writeLow = undefined;
    }
  }

  #setCount(raw: number): void {
    const count = this.#bcd ? fromBcd(raw) % 10_000 : raw;
    this.#initialCount = count === 0 ? this.#modulus : count;
    this.#nullCount = true;
    this.#hasCount = true;
    if (this.#mode === 0) this.#out = false;
    // Modes 1 and 5 load on a trigger; modes 2 and 3, once counting, at the end of the (half) cycle.
    const loadsNow = this.#mode === 0 || this.#mode === 4 || ((this.#mode === 2 || this.#mode === 3) && !this.#counting);
    if (loadsNow) this.#loadPending = true;
  }

  /** "Gate Pin Operations Summary". */
  setGate(gate: boolean): void {
    const rises = gate && !this.#gate;
    this.#gate = gate;
    if (this.#mode === 2 || this.#mode === 3) {
      if (!gate) this.#out = true;
      if (rises && this.#counting) this.#loadPending = true;
    } else if ((this.#mode === 1 || this.#mode === 5) && rises && this.#hasCount) {
      this.#loadPending = true;
    }
  }

  /** Reads the count: the latched status first, then the latched count, then the living one. */
  read(): number {
    if (this.#statusLatch !== undefined) {
      const status = this.#statusLatch;
      this.#statusLatch = undefined;
      return status;
    }
    const count = this.#countLatch ?? this.#shownCount;
    const high = this.#access === Access.HIGH || (this.#access === Access.LOW_THEN_HIGH && this.#readHighNext);
    if (this.#access === Access.LOW_THEN_HIGH) this.#readHighNext = !this.#readHighNext;
    if (this.#access !== Access.LOW_THEN_HIGH || high) this.#countLatch = undefined;
    return high ? count >>> 8 : count & 0xff;
  }

  /** Counter latch command: a second one before the count is read has no effect. */
  latchCount(): void {
    this.#countLatch ??= this.#shownCount;
  }

  /** Read-back command, status byte: OUT, null count, RW, mode, BCD. */
  latchStatus(): void {
    this.#statusLatch ??=
      (this.#out ? 0x80 : 0) | (this.#nullCount ? 0x40 : 0) | (this.#access << 4) | (this.#mode << 1) | (this.#bcd ? 1 : 0);
  }

  get #shownCount(): number {
    const count = this.#element % this.#modulus;
    return this.#bcd ? toBcd(count) : count;
  }

  get #isEnabled(): boolean {
    return this.#counting && (this.#gate || this.#mode === 1 || this.#mode === 5);
  }

  /** `pulses` clock pulses come. @returns whether OUT was low at some moment of them */
  advance(pulses: number): boolean {
    this.#wasLow = !this.#out;
    let left = pulses;
    if (this.#loadPending && left > 0) {
      this.#load();
      left--;
    }
    if (left > 0 && this.#isEnabled) {
      if (this.#mode === 2) this.#countRate(left);
      else if (this.#mode === 3) this.#countSquare(left);
      else this.#countOnce(left);
    }
    return this.#wasLow;
  }

  #load(): void {
    this.#loadPending = false;
    this.#counting = true;
    this.#nullCount = false;
    this.#strobeArmed = true;
    this.#element = this.#initialCount;
    if (this.#mode === 1) this.#setOut(false);
    else if (this.#mode === 2) this.#setOut(!this.#gate || this.#element !== 1);
    else if (this.#mode !== 0) this.#setOut(true);
    if (this.#mode === 3) this.#loadHalf();
  }

  #setOut(out: boolean): void {
    this.#out = out;
    if (!out) this.#wasLow = true;
  }

  /** Modes 0, 1, 4, 5: down to zero once, then on from the modulus. */
  #countOnce(pulses: number): void {
    const strobes = this.#mode >= 4;
    if (this.#strobeArmed && pulses >= this.#element) {
      this.#strobeArmed = false;
      this.#setOut(!strobes);
      if (strobes && pulses > this.#element) this.#out = true;
    } else if (strobes && !this.#strobeArmed) {
      this.#out = true; // the strobe was one pulse long
    }
    this.#element -= pulses;
    if (this.#element < 0) this.#element = ((this.#element % this.#modulus) + this.#modulus) % this.#modulus;
  }

  /** Mode 2: from N to 1, low at 1, reloaded by the next pulse. */
  #countRate(pulses: number): void {
    if (pulses < this.#element) {
      this.#element -= pulses;
    } else {
      const rest = pulses - this.#element;
      this.#wasLow = true;
      this.#nullCount = false;
      this.#element = this.#initialCount - (rest % this.#initialCount);
    }
    this.#setOut(this.#element !== 1);
  }

  /** Mode 3: N even, both halves are N / 2; N odd, OUT is high for (N + 1) / 2 and low for (N - 1) / 2. */
  #countSquare(pulses: number): void {
    let left = pulses;
    if (left >= this.#halfLeft) {
      left -= this.#halfLeft;
      this.#nextHalf();
      // From here on the count is constant, so that whole periods change nothing.
      const period = this.#initialCount;
      if (left >= period && period > 1) this.#wasLow = true;
      left %= period;
      while (left >= this.#halfLeft) {
        left -= this.#halfLeft;
        this.#nextHalf();
      }
    }
    this.#halfLeft -= left;
    this.#showHalf();
  }

  #nextHalf(): void {
    // A count of 1 is not allowed by the data sheet: OUT stays high.
    this.#setOut(!this.#out || this.#initialCount === 1);
    this.#nullCount = false;
    this.#loadHalf();
  }

  #loadHalf(): void {
    this.#loadedCount = this.#initialCount;
    const half = this.#loadedCount / 2;
    this.#halfLeft = Math.max(1, this.#out ? Math.ceil(half) : Math.floor(half));
    this.#showHalf();
  }

  /** The element counts by two; an odd count loads N - 1, and its high half shows 0 for one pulse. */
  #showHalf(): void {
    const lag = this.#out && this.#loadedCount % 2 === 1 ? 1 : 0;
    this.#element = 2 * (this.#halfLeft - lag);
  }

  /** Clock pulses until OUT may change, if nobody touches the counter; Infinity: never. At least 1. */
  get pulsesToChange(): number {
    if (this.#loadPending) return 1;
    if (!this.#isEnabled) return Number.POSITIVE_INFINITY;
    switch (this.#mode) {
      case 2:
        if (this.#initialCount === 1 && this.#element === 1) return Number.POSITIVE_INFINITY;
        return this.#element > 1 ? this.#element - 1 : 1;
      case 3:
        return this.#initialCount === 1 && this.#out ? Number.POSITIVE_INFINITY : this.#halfLeft;
      default:
        if (this.#strobeArmed) return Math.max(1, this.#element);
        return this.#mode >= 4 && !this.#out ? 1 : Number.POSITIVE_INFINITY;
    }
  }

  save(): PitCounterState {
    return {
      mode: this.#mode,
      access: this.#access,
      bcd: this.#bcd,
      gate: this.#gate,
      out: this.#out,
      nullCount: this.#nullCount,
      counting: this.#counting,
      loadPending: this.#loadPending,
      strobeArmed: this.#strobeArmed,
      hasCount: this.#hasCount,
      initialCount: this.#initialCount,
      loadedCount: this.#loadedCount,
      element: this.#element,
      halfLeft: this.#halfLeft,
      countLatch: this.#countLatch,
      statusLatch: this.#statusLatch,
      writeLow: this.#writeLow,
      readHighNext: this.#readHighNext,
    };
  }

  restore(state: PitCounterState): void {
    this.#mode = state.mode;
    this.#access = state.access;
    this.#bcd = state.bcd;
    this.#gate = state.gate;
    this.#out = state.out;
    this.#nullCount = state.nullCount;
    this.#counting = state.counting;
    this.#loadPending = state.loadPending;
    this.#strobeArmed = state.strobeArmed;
    this.#hasCount = state.hasCount;
    this.#initialCount = state.initialCount;
    this.#loadedCount = state.loadedCount;
    this.#element = state.element;
    this.#halfLeft = state.halfLeft;
    this.#countLatch = state.countLatch;
    this.#statusLatch = state.statusLatch;
    this.#writeLow = state.writeLow;
    this.#readHighNext = state.readHighNext;
  }
}

/** Digits above 9, which the data sheet does not allow, count as their value. */
function fromBcd(raw: number): number {
  return (raw >>> 12) * 1000 + ((raw >>> 8) & 15) * 100 + ((raw >>> 4) & 15) * 10 + (raw & 15);
}

function toBcd(value: number): number {
  return (Math.floor(value / 1000) << 12) | ((Math.floor(value / 100) % 10) << 8) | ((Math.floor(value / 10) % 10) << 4) | (value % 10);
}
