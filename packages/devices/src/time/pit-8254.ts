import type { Clock, InterruptLine, Snapshotable, Timer } from '@minusone/core';
import { BytePortDevice } from '../port-device.ts';
import { OutputLine } from '../wire.ts';
import { PitCounter, type PitCounterState } from './pit-counter.ts';
import { PIT_RATE } from './tick-rate.ts';

const CONTROL = 3;
const READ_BACK = 3;

export interface Pit8254Options {
  readonly clock: Clock;
  /** Where OUT of each counter leads: on a PC counter 0 to IRQ 0, and 2 to the speaker. An OUT that leads nowhere costs no timer. */
  readonly outputs: readonly [InterruptLine?, InterruptLine?, InterruptLine?];
}

export interface Pit8254State {
  readonly counters: readonly PitCounterState[];
  /** Clock pulses since the machine was made, up to which each counter has counted. */
  readonly ticks: readonly number[];
}

/**
 * 8254 programmable interval timer (Intel 8254 data sheet) at the PC's 105/88 MHz. Ports 0x40 to 0x43. Gates 0 and 1
 * are tied high, gate 2 is bit 0 of port 0x61 (`SystemControlPortB`).
 */
export class Pit8254 extends BytePortDevice implements Snapshotable<Pit8254State> {
  static readonly BASE = 0x40;
  static readonly PORTS = 4;

  readonly #clock: Clock;
  readonly #channels: readonly Channel[];

  constructor(options: Pit8254Options) {
    super();
    this.#clock = options.clock;
    this.#channels = [0, 1, 2].map((at) => new Channel(options.clock, new PitCounter(at !== 2), options.outputs[at]));
  }

  /** OUT of a counter (0 to 2), now. */
  out(counter: 0 | 1 | 2): boolean {
    const channel = this.#channels[counter]!;
    channel.sync();
    return channel.counter.out;
  }

  get gate2(): boolean {
    return this.#channels[2]!.counter.gate;
  }

  setGate2(gate: boolean): void {
    const channel = this.#channels[2]!;
    channel.sync();
    channel.counter.setGate(gate);
    channel.changed();
  }

  protected override readRegister(port: number): number {
    const at = port & 3;
    if (at === CONTROL) return 0xff; // "No-operation, 3-state"
    const channel = this.#channels[at]!;
    channel.sync();
    return channel.counter.read();
  }

  protected override writeRegister(port: number, value: number): void {
    const at = port & 3;
    if (at !== CONTROL) {
      const channel = this.#channels[at]!;
      channel.sync();
      channel.counter.writeCount(value);
      channel.changed();
    } else if (value >>> 6 === READ_BACK) {
      this.#readBack(value);
    } else {
      const channel = this.#channels[value >>> 6]!;
      channel.sync();
      if ((value & 0x30) === 0) {
        channel.counter.latchCount();
      } else {
        channel.counter.writeControl(value);
        channel.changed();
      }
    }
  }

  /** Read-back command: bit 5 low latches the count, bit 4 low the status, of the counters in bits 3 to 1. */
  #readBack(value: number): void {
    this.#channels.forEach((channel, at) => {
      if ((value & (2 << at)) === 0) return;
      channel.sync();
      if ((value & 0x20) === 0) channel.counter.latchCount();
      if ((value & 0x10) === 0) channel.counter.latchStatus();
    });
  }

  save(): Pit8254State {
    for (const channel of this.#channels) channel.sync();
    return {
      counters: this.#channels.map((channel) => channel.counter.save()),
      ticks: this.#channels.map((channel) => channel.ticks),
    };
  }

  restore(state: Pit8254State): void {
    this.#channels.forEach((channel, at) => {
      const counter = state.counters[at];
      if (counter === undefined) return;
      channel.restore(counter, state.ticks[at] ?? PIT_RATE.ticksAt(this.#clock.nowNs()));
    });
  }
}

/** A counter, how far it has counted, and the wire its OUT drives. */
class Channel {
  readonly counter: PitCounter;
  ticks: number;
  readonly #clock: Clock;
  readonly #output: OutputLine | undefined;
  readonly #timer: Timer | undefined;

  constructor(clock: Clock, counter: PitCounter, output: InterruptLine | undefined) {
    this.counter = counter;
    this.#clock = clock;
    this.#output = output && new OutputLine(output);
    this.ticks = PIT_RATE.ticksAt(clock.nowNs());
    this.#timer = output && clock.createTimer(() => this.sync());
  }

  /** Counts up to now, and drives OUT. */
  sync(): void {
    const now = PIT_RATE.ticksAt(this.#clock.nowNs());
    if (now <= this.ticks) return;
    const before = this.counter.out;
    const wasLow = this.counter.advance(now - this.ticks);
    this.ticks = now;
    // A clock that comes late has skipped pulses of OUT: the edge is made up for, once.
    if (before && wasLow && this.counter.out) this.#output?.set(false);
    this.changed();
  }

  restore(counter: PitCounterState, ticks: number): void {
    this.counter.restore(counter);
    this.ticks = ticks;
    this.#output?.forget();
    this.changed();
  }

  /** The counter's inputs changed: drives OUT and plans for its next change. */
  changed(): void {
    if (this.#output === undefined || this.#timer === undefined) return;
    this.#output.set(this.counter.out);
    const pulses = this.counter.pulsesToChange;
    if (pulses === Number.POSITIVE_INFINITY) this.#timer.cancel();
    else this.#timer.arm(PIT_RATE.nsOf(this.ticks + pulses));
  }
}
