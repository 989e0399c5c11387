import type { Clock, Snapshotable } from '@minusone/core';
import { BytePortDevice } from '../port-device.ts';
import type { Pit8254 } from './pit-8254.ts';

const Bit = { GATE2: 0x01, SPEAKER_DATA: 0x02, WRITABLE: 0x0f, REFRESH_TOGGLE: 0x10, OUT2: 0x20 } as const;
/** Counter 1 of a PC asks for a DRAM refresh every 18 pulses of the 8254's clock: 18 * 88 / 105 microseconds. */
const REFRESH_NS = (18 * 88_000) / 105;

export interface SystemControlPortBState {
  readonly written: number;
}

/**
 * System control port B, port 0x61 (IBM PS/2 technical reference, "System Control Port B"): gate of the 8254's counter
 * 2, speaker data, parity and channel-check enables (kept; this machine has neither error), and to read: the refresh
 * request's toggle in bit 4 and OUT2 in bit 5.
 */
export class SystemControlPortB extends BytePortDevice implements Snapshotable<SystemControlPortBState> {
  static readonly PORT = 0x61;

  readonly #clock: Clock;
  readonly #pit: Pit8254;
  readonly #onSpeaker: ((data: boolean) => void) | undefined;
  #written = 0;

  /** @param options.onSpeaker the guest changed speaker data (bit 1), which lets OUT2 through to the speaker */
  constructor(options: { readonly clock: Clock; readonly pit: Pit8254; readonly onSpeaker?: (data: boolean) => void }) {
    super();
    this.#clock = options.clock;
    this.#pit = options.pit;
    this.#onSpeaker = options.onSpeaker;
  }

  protected override readRegister(port: number): number {
    if (port !== SystemControlPortB.PORT) return 0xff;
    const refresh = Math.floor(this.#clock.nowNs() / REFRESH_NS) % 2 === 1;
    return this.#written | (refresh ? Bit.REFRESH_TOGGLE : 0) | (this.#pit.out(2) ? Bit.OUT2 : 0);
  }

  protected override writeRegister(port: number, value: number): void {
    if (port !== SystemControlPortB.PORT) return;
    const changed = value ^ this.#written;
    this.#written = value & Bit.WRITABLE;
    this.#pit.setGate2((value & Bit.GATE2) !== 0);
    if ((changed & Bit.SPEAKER_DATA) !== 0) this.#onSpeaker?.((value & Bit.SPEAKER_DATA) !== 0);
  }

  save(): SystemControlPortBState {
    return { written: this.#written };
  }

  /** The gate itself is part of the `Pit8254`'s state. */
  restore(state: SystemControlPortBState): void {
    this.#written = state.written;
  }
}
