/** When an edge-triggered request is held (see `I8259PairOptions.edgeRequests`). */
export type EdgeRequests = 'held' | 'latched';

/** Saved state of one 8259A. */
export interface I8259State {
  readonly irr: number;
  readonly isr: number;
  readonly imr: number;
  readonly lines: number;
  readonly elcr: number;
  readonly vectorBase: number;
  readonly icw1: number;
  readonly icw3: number;
  readonly icw4: number;
  /** Which ICW the data port expects next: 2, 3, 4; 0 when initialized; 1 before the first ICW1. */
  readonly expects: number;
  readonly lowestPriority: number;
  readonly rotateOnAeoi: boolean;
  readonly specialMask: boolean;
  readonly readIsr: boolean;
  readonly poll: boolean;
}

const Icw1 = { IC4: 0x01, SNGL: 0x02, ICW1: 0x10 } as const;
const Icw4 = { AEOI: 0x02, SFNM: 0x10 } as const;
const Ocw3 = { RIS: 0x01, RR: 0x02, POLL: 0x04, OCW3: 0x08, SMM: 0x20, ESMM: 0x40 } as const;

/**
 * One 8259A programmable interrupt controller (Intel 8259A data sheet, order 231468), in 8086 mode, with the ELCR of
 * EISA and PCI chipsets instead of ICW1's LTIM bit. The INT output is a property: the pair wires it.
 */
export class I8259 {
  /** ELCR bits that can be set: IRQ 0, 1, 2, 8 and 13 are always edge triggered (82371AB PIIX4, ELCR1 and ELCR2). */
  readonly #elcrWritable: number;
  readonly #isMaster: boolean;
  readonly #edgeRequests: EdgeRequests;
  readonly #onEoi: ((level: number) => void) | undefined;
  #irr = 0;
  #isr = 0;
  #imr = 0;
  #lines = 0;
  #elcr = 0;
  #vectorBase = 0;
  #icw1 = 0;
  #icw3: number;
  #icw4 = 0;
  #expects = 1;
  #lowestPriority = 7;
  #rotateOnAeoi = false;
  #specialMask = false;
  #readIsr = false;
  #poll = false;

  /** @param options.onEoi told of each level whose service ended, by a command or at INTA in automatic EOI mode, or that ICW1 dropped */
  constructor(options: {
    readonly isMaster: boolean;
    readonly elcrWritable: number;
    readonly edgeRequests: EdgeRequests;
    readonly onEoi?: ((level: number) => void) | undefined;
  }) {
    this.#isMaster = options.isMaster;
    this.#elcrWritable = options.elcrWritable;
    this.#edgeRequests = options.edgeRequests;
    this.#onEoi = options.onEoi;
    this.#icw3 = options.isMaster ? 0x04 : 0x02;
  }

  /** Drives input `level` (0 to 7). */
  setInput(level: number, asserted: boolean): void {
    const bit = 1 << level;
    if (asserted) {
      if ((this.#lines & bit) === 0 && (this.#elcr & bit) === 0) this.#irr |= bit;
      this.#lines |= bit;
    } else {
      this.#lines &= ~bit;
      // 8259A, "Edge and level triggered modes": the input must stay high until INTA, otherwise the default IR7 results.
      if (this.#edgeRequests === 'held') this.#irr &= ~bit;
    }
  }

  /** IRR as the data sheet's OCW3 read shows it: level inputs are not latched. */
  get irr(): number {
    return (this.#irr & ~this.#elcr) | (this.#lines & this.#elcr);
  }

  get isr(): number {
    return this.#isr;
  }

  get imr(): number {
    return this.#imr;
  }

  /** The level that INT is asserted for, or -1. */
  get request(): number {
    if (this.#expects !== 0) return -1; // not (or not yet again) initialized
    const requests = this.irr & ~this.#imr;
    if (requests === 0) return -1;
    // "Special mask mode": levels masked by IMR no longer hold others back while in service.
    const inService = this.#specialMask ? this.#isr & ~this.#imr : this.#isr;
    for (let rank = 0; rank < 8; rank++) {
      const level = (this.#lowestPriority + 1 + rank) & 7;
      const bit = 1 << level;
      if ((inService & bit) !== 0) {
        // "Special fully nested mode": a slave in service is not locked out from the master's priority logic.
        return this.#isSpeciallyNested(bit) && (requests & bit) !== 0 ? level : -1;
      }
      if ((requests & bit) !== 0) return level;
    }
    return -1;
  }

  #isSpeciallyNested(bit: number): boolean {
    return this.#isMaster && (this.#icw4 & Icw4.SFNM) !== 0 && this.hasSlave && (this.#icw3 & bit) !== 0;
  }

  /** ICW1.SNGL is 0: there are other 8259As, and ICW3 says where. */
  get hasSlave(): boolean {
    return (this.#icw1 & Icw1.SNGL) === 0;
  }

  /** Master: inputs with a slave. Slave: its identity on the cascade lines. */
  get icw3(): number {
    return this.#icw3;
  }

  /** The INTA cycle. @returns the level acknowledged, or -1: then the chip answers as IR7, without setting ISR */
  acknowledge(): number {
    const level = this.request;
    if (level < 0) return -1;
    const bit = 1 << level;
    this.#irr &= ~bit;
    if ((this.#icw4 & Icw4.AEOI) === 0) this.#isr |= bit;
    else {
      if (this.#rotateOnAeoi) this.#lowestPriority = level;
      this.#onEoi?.(level);
    }
    return level;
  }

  vectorOf(level: number): number {
    return this.#vectorBase | (level < 0 ? 7 : level);
  }

  /** Reads A0 = 0 (IRR or ISR) or A0 = 1 (IMR); after a poll command either is the poll word. */
  read(a0: number): number {
    if (this.#poll) {
      this.#poll = false;
      const level = this.acknowledge();
      return level < 0 ? 0 : 0x80 | level;
    }
    if (a0 === 1) return this.#imr;
    return this.#readIsr ? this.#isr : this.irr;
  }

  write(a0: number, value: number): void {
    if (a0 === 0) {
      if ((value & Icw1.ICW1) !== 0) this.#writeIcw1(value);
      else if ((value & Ocw3.OCW3) !== 0) this.#writeOcw3(value);
      else this.#writeOcw2(value);
    } else if (this.#expects === 2) {
      this.#vectorBase = value & 0xf8;
      this.#expects = this.hasSlave ? 3 : this.#icw4Follows;
    } else if (this.#expects === 3) {
      this.#icw3 = this.#isMaster ? value : value & 7;
      this.#expects = this.#icw4Follows;
    } else if (this.#expects === 4) {
      this.#icw4 = value & 0x1f;
      this.#expects = 0;
    } else {
      this.#imr = value; // OCW1
    }
  }

  get #icw4Follows(): number {
    return (this.#icw1 & Icw1.IC4) !== 0 ? 4 : 0;
  }

  /** "Initialization Command Words 1 and 2": what ICW1 clears. */
  #writeIcw1(value: number): void {
    const dropped = this.#irr | this.#isr;
    this.#icw1 = value;
    this.#icw4 = 0;
    this.#irr = 0; // the edge sense circuit: an input must rise anew
    this.#isr = 0;
    this.#imr = 0;
    this.#lowestPriority = 7;
    this.#rotateOnAeoi = false;
    this.#specialMask = false;
    this.#readIsr = false;
    this.#poll = false;
    this.#expects = 2;
    // Nobody will end these any more.
    if (this.#onEoi !== undefined) for (let level = 0; level < 8; level++) if ((dropped & (1 << level)) !== 0) this.#onEoi(level);
  }

  /** Operation Control Word 2: R, SL, EOI in bits 7 to 5, a level in bits 2 to 0. */
  #writeOcw2(value: number): void {
    const level = value & 7;
    switch (value >>> 5) {
      case 0b001: // non-specific EOI
        this.#endOfInterrupt(this.#highestInService);
        break;
      case 0b011: // specific EOI
        this.#endOfInterrupt(level);
        break;
      case 0b101: {
        // rotate on non-specific EOI
        const ended = this.#highestInService;
        this.#endOfInterrupt(ended);
        if (ended >= 0) this.#lowestPriority = ended;
        break;
      }
      case 0b111: // rotate on specific EOI
        this.#endOfInterrupt(level);
        this.#lowestPriority = level;
        break;
      case 0b100: // rotate in automatic EOI mode: set
        this.#rotateOnAeoi = true;
        break;
      case 0b000: // rotate in automatic EOI mode: clear
        this.#rotateOnAeoi = false;
        break;
      case 0b110: // set priority
        this.#lowestPriority = level;
        break;
      default: // 010: no operation
        break;
    }
  }

  #endOfInterrupt(level: number): void {
    if (level < 0) return;
    this.#isr &= ~(1 << level);
    this.#onEoi?.(level);
  }

  /** What a non-specific EOI ends; in special mask mode a masked level is not cleared by it ("Fully Nested Mode"). */
  get #highestInService(): number {
    const inService = this.#specialMask ? this.#isr & ~this.#imr : this.#isr;
    for (let rank = 0; rank < 8; rank++) {
      const level = (this.#lowestPriority + 1 + rank) & 7;
      if ((inService & (1 << level)) !== 0) return level;
    }
    return -1;
  }

  #writeOcw3(value: number): void {
    if ((value & Ocw3.ESMM) !== 0) this.#specialMask = (value & Ocw3.SMM) !== 0;
    if ((value & Ocw3.RR) !== 0) this.#readIsr = (value & Ocw3.RIS) !== 0;
    this.#poll = (value & Ocw3.POLL) !== 0; // poll overrides the status read
  }

  get elcr(): number {
    return this.#elcr;
  }

  writeElcr(value: number): void {
    const elcr = value & this.#elcrWritable;
    this.#irr &= ~(this.#elcr ^ elcr); // a changed input is sensed anew
    this.#elcr = elcr;
  }

  save(): I8259State {
    return {
      irr: this.#irr,
      isr: this.#isr,
      imr: this.#imr,
      lines: this.#lines,
      elcr: this.#elcr,
      vectorBase: this.#vectorBase,
      icw1: this.#icw1,
      icw3: this.#icw3,
      icw4: this.#icw4,
      expects: this.#expects,
      lowestPriority: this.#lowestPriority,
      rotateOnAeoi: this.#rotateOnAeoi,
      specialMask: this.#specialMask,
      readIsr: this.#readIsr,
      poll: this.#poll,
    };
  }

  restore(state: I8259State): void {
    this.#irr = state.irr;
    this.#isr = state.isr;
    this.#imr = state.imr;
    this.#lines = state.lines;
    this.#elcr = state.elcr;
    this.#vectorBase = state.vectorBase;
    this.#icw1 = state.icw1;
    this.#icw3 = state.icw3;
    this.#icw4 = state.icw4;
    this.#expects = state.expects;
    this.#lowestPriority = state.lowestPriority;
    this.#rotateOnAeoi = state.rotateOnAeoi;
    this.#specialMask = state.specialMask;
    this.#readIsr = state.readIsr;
    this.#poll = state.poll;
  }
}
