import type { PowerControl, Snapshotable } from '@minusone/core';
import { BytePortDevice } from '../port-device.ts';

const WORD = 'Shutdown';

export interface ShutdownPortState {
  /** Letters of the word seen so far. */
  readonly seen: number;
}

/** The shutdown port of Bochs: the eight letters `Shutdown`, written one by one to port 0x8900, turn the machine off. */
export class ShutdownPort extends BytePortDevice implements Snapshotable<ShutdownPortState> {
  static readonly PORT = 0x8900;
  readonly #power: PowerControl;
  #seen = 0;

  constructor(options: { readonly power: PowerControl }) {
    super();
    this.#power = options.power;
  }

  protected override readRegister(_port: number): number {
    return 0xff;
  }

  protected override writeRegister(port: number, value: number): void {
    if (port !== ShutdownPort.PORT) return;
    if (value !== WORD.charCodeAt(this.#seen)) this.#seen = 0;
    if (value === WORD.charCodeAt(this.#seen)) this.#seen++;
    if (this.#seen < WORD.length) return;
    this.#seen = 0;
    this.#power.powerOff(0);
  }

  save(): ShutdownPortState {
    return { seen: this.#seen };
  }

  restore(state: ShutdownPortState): void {
    this.#seen = state.seen;
  }
}
