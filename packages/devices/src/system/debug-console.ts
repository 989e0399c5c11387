import type { Snapshotable } from '@minusone/core';
import { BytePortDevice } from '../port-device.ts';

/** The debug console of Bochs and QEMU: bytes written to port 0xE9 are text for the host; reading 0xE9 there tells that it exists. */
export class DebugConsole extends BytePortDevice implements Snapshotable<null> {
  static readonly PORT = 0xe9;
  readonly #onByte: (byte: number) => void;

  constructor(options: { readonly onByte: (byte: number) => void }) {
    super();
    this.#onByte = options.onByte;
  }

  protected override readRegister(port: number): number {
    return port === DebugConsole.PORT ? 0xe9 : 0xff;
  }

  protected override writeRegister(port: number, value: number): void {
    if (port === DebugConsole.PORT) this.#onByte(value);
  }

  /** It has no state. */
  save(): null {
    return null;
  }

  restore(_state: null): void {}
}
