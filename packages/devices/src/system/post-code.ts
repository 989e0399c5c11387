import type { Snapshotable } from '@minusone/core';
import { BytePortDevice } from '../port-device.ts';

export interface PostCodeState {
  readonly code: number;
}

/** The diagnostic port 0x80: firmware shows its progress there, and kernels write to it to pass a microsecond. The last code reads back. */
export class PostCode extends BytePortDevice implements Snapshotable<PostCodeState> {
  static readonly PORT = 0x80;
  readonly #onCode: ((code: number) => void) | undefined;
  #code = 0;

  constructor(options: { readonly onCode?: (code: number) => void } = {}) {
    super();
    this.#onCode = options.onCode;
  }

  /** The code written last. */
  get code(): number {
    return this.#code;
  }

  protected override readRegister(port: number): number {
    return port === PostCode.PORT ? this.#code : 0xff;
  }

  protected override writeRegister(port: number, value: number): void {
    if (port !== PostCode.PORT) return;
    this.#code = value;
    this.#onCode?.(value);
  }

  save(): PostCodeState {
    return { code: this.#code };
  }

  restore(state: PostCodeState): void {
    this.#code = state.code;
  }
}
