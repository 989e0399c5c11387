import type { PowerControl, Snapshotable } from '@minusone/core';
import { BytePortDevice } from '../port-device.ts';

const Bit = { SYSTEM_RESET: 0x02, RESET_CPU: 0x04, FULL_RESET: 0x08 } as const;

export interface ResetControlPortState {
  readonly value: number;
}

/** Reset control register, port 0xCF9 (Intel 82371AB PIIX4 data sheet, RC; ICH, RST_CNT): bit 2, rising, resets; bit 1 says whether hard; bit 3 asks for a power cycle. */
export class ResetControlPort extends BytePortDevice implements Snapshotable<ResetControlPortState> {
  static readonly PORT = 0xcf9;
  readonly #power: PowerControl;
  #value = 0;

  constructor(options: { readonly power: PowerControl }) {
    super();
    this.#power = options.power;
  }

  protected override readRegister(port: number): number {
    return port === ResetControlPort.PORT ? this.#value : 0xff;
  }

  protected override writeRegister(port: number, value: number): void {
    if (port !== ResetControlPort.PORT) return;
    const rises = (value & ~this.#value & Bit.RESET_CPU) !== 0;
    this.#value = value & (Bit.SYSTEM_RESET | Bit.RESET_CPU | Bit.FULL_RESET);
    if (rises) this.#power.reset('port 0xCF9');
  }

  save(): ResetControlPortState {
    return { value: this.#value };
  }

  restore(state: ResetControlPortState): void {
    this.#value = state.value;
  }
}
