import type { PowerControl, Snapshotable } from '@minusone/core';
import { BytePortDevice } from '../port-device.ts';

const Bit = { FAST_RESET: 0x01, A20: 0x02 } as const;

export interface FastA20PortState {
  readonly value: number;
}

/** System control port A, port 0x92 (IBM PS/2 technical reference): bit 0, rising, resets the processor; bit 1 is the fast A20 gate. The other bits are kept. */
export class FastA20Port extends BytePortDevice implements Snapshotable<FastA20PortState> {
  static readonly PORT = 0x92;
  readonly #power: PowerControl;
  readonly #onA20: (enabled: boolean) => void;
  #value: number = Bit.A20;

  /** @param options.onA20 the guest sets the gate; at power-on it is on */
  constructor(options: { readonly power: PowerControl; readonly onA20: (enabled: boolean) => void }) {
    super();
    this.#power = options.power;
    this.#onA20 = options.onA20;
  }

  get a20(): boolean {
    return (this.#value & Bit.A20) !== 0;
  }

  protected override readRegister(port: number): number {
    return port === FastA20Port.PORT ? this.#value : 0xff;
  }

  protected override writeRegister(port: number, value: number): void {
    if (port !== FastA20Port.PORT) return;
    const changed = value ^ this.#value;
    this.#value = value;
    // A write is an order even when it changes nothing here: the keyboard controller may have moved the gate since.
    this.#onA20(this.a20);
    if ((changed & value & Bit.FAST_RESET) !== 0) this.#power.reset('port 0x92');
  }

  save(): FastA20PortState {
    return { value: this.#value };
  }

  restore(state: FastA20PortState): void {
    this.#value = state.value;
  }
}
