import { type InterruptAcknowledge, type InterruptLine, InvalidArgumentError, type Snapshotable } from '@minusone/core';
import { BytePortDevice } from '../port-device.ts';
import { OutputLine } from '../wire.ts';
import { type EdgeRequests, I8259, type I8259State } from './i8259.ts';

const CASCADE = 2;
/** What the data bus floats to when no chip answers the second INTA. */
const OPEN_BUS = 0xff;

export interface I8259PairOptions {
  /** INT of the master: the processor's INTR (or LINT0). */
  readonly intr: InterruptLine;
  /**
   * `'held'` (default): as in the data sheet, an edge-triggered request is gone when its input falls before INTA.
   * `'latched'`: it stays, so that a host may pulse a line, as KVM's irqchip lets it.
   */
  readonly edgeRequests?: EdgeRequests;
  /** Told of each IRQ (0 to 15) whose service ended. */
  readonly onEoi?: (irq: number) => void;
  /** Told of each IRQ whose mask bit changed by a write of OCW1. */
  readonly onMask?: (irq: number, masked: boolean) => void;
}

export interface I8259PairState {
  readonly master: I8259State;
  readonly slave: I8259State;
}

/** The PC's two 8259As: the slave's INT is IRQ 2 of the master. Ports 0x20, 0x21, 0xA0, 0xA1, and the ELCRs 0x4D0, 0x4D1. */
export class I8259Pair extends BytePortDevice implements InterruptAcknowledge, Snapshotable<I8259PairState> {
  static readonly MASTER = 0x20;
  static readonly SLAVE = 0xa0;
  static readonly ELCR = 0x4d0;

  readonly #intr: OutputLine;
  readonly #master: I8259;
  readonly #slave: I8259;
  readonly #onMask: ((irq: number, masked: boolean) => void) | undefined;

  constructor(options: I8259PairOptions) {
    super();
    this.#intr = new OutputLine(options.intr);
    const edgeRequests = options.edgeRequests ?? 'held';
    const { onEoi } = options;
    this.#onMask = options.onMask;
    this.#master = new I8259({ isMaster: true, elcrWritable: 0xf8, edgeRequests, onEoi });
    this.#slave = new I8259({ isMaster: false, elcrWritable: 0xde, edgeRequests, onEoi: onEoi && ((level) => onEoi(8 + level)) });
  }

  /**
   * The input of IRQ `irq`.
   * @param irq 0 to 15 but 2, where the slave is
   * @throws {InvalidArgumentError} there is no such input
   */
  irq(irq: number): InterruptLine {
    if (!Number.isInteger(irq) || irq < 0 || irq > 15 || irq === CASCADE) {
      throw new InvalidArgumentError(`IRQ ${irq} is no input of the 8259 pair.`, 'Use 0 to 15 without 2, the cascade.', { irq });
    }
    const chip = irq < 8 ? this.#master : this.#slave;
    return {
      set: (asserted: boolean): void => {
        chip.setInput(irq & 7, asserted);
        this.#update();
      },
    };
  }

  /** The IRQ's bit in its chip's IMR. */
  isMasked(irq: number): boolean {
    return ((irq < 8 ? this.#master : this.#slave).imr & (1 << (irq & 7))) !== 0;
  }
  /** The IRQ's bit in its chip's IRR: requested, and not acknowledged yet. */
  isRequested(irq: number): boolean {
    return ((irq < 8 ? this.#master : this.#slave).irr & (1 << (irq & 7))) !== 0;
  }

  /** INTR is asserted. */
  get interruptPending(): boolean {
    return this.#master.request >= 0;
  }

  acknowledge(): number {
    const level = this.#master.acknowledge();
    let vector = this.#master.vectorOf(level);
    if (level >= 0 && this.#master.hasSlave && (this.#master.icw3 & (1 << level)) !== 0) {
      // The slave whose identity is on the cascade lines gives the vector.
      if (level === CASCADE && this.#slave.icw3 === level) {
        vector = this.#slave.vectorOf(this.#slave.acknowledge());
        this.#master.setInput(CASCADE, false); // INT falls with INTA, so that a further request is an edge
      } else {
        vector = OPEN_BUS;
      }
    }
    this.#update();
    return vector;
  }

  protected override readRegister(port: number): number {
    if (port === I8259Pair.ELCR) return this.#master.elcr;
    if (port === I8259Pair.ELCR + 1) return this.#slave.elcr;
    const chip = this.#chipAt(port);
    if (chip === undefined) return 0xff;
    const value = chip.read(port & 1);
    this.#update(); // a poll acknowledges
    return value;
  }

  protected override writeRegister(port: number, value: number): void {
    if (port === I8259Pair.ELCR) this.#master.writeElcr(value);
    else if (port === I8259Pair.ELCR + 1) this.#slave.writeElcr(value);
    else this.#writeChip(port, value);
    this.#update();
  }

  #writeChip(port: number, value: number): void {
    const chip = this.#chipAt(port);
    if (chip === undefined) return;
    const before = chip.imr;
    chip.write(port & 1, value);
    const changed = before ^ chip.imr;
    if (changed === 0 || this.#onMask === undefined) return;
    const first = chip === this.#master ? 0 : 8;
    for (let level = 0; level < 8; level++) {
      if ((changed & (1 << level)) !== 0) this.#onMask(first + level, (chip.imr & (1 << level)) !== 0);
    }
  }

  #chipAt(port: number): I8259 | undefined {
    const base = port & ~1;
    return base === I8259Pair.MASTER ? this.#master : base === I8259Pair.SLAVE ? this.#slave : undefined;
  }

  #update(): void {
    this.#master.setInput(CASCADE, this.#slave.request >= 0);
    this.#intr.set(this.#master.request >= 0);
  }

  save(): I8259PairState {
    return { master: this.#master.save(), slave: this.#slave.save() };
  }

  restore(state: I8259PairState): void {
    this.#master.restore(state.master);
    this.#slave.restore(state.slave);
    this.#intr.forget();
    this.#update();
  }
}
