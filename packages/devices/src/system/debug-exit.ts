import type { AccessSize, PowerControl, Snapshotable } from '@minusone/core';
import type { SizedPortDevice } from '../port-device.ts';

/** QEMU's isa-debug-exit: a write of `value` ends the machine with status `2 * value + 1`. */
export class DebugExit implements SizedPortDevice, Snapshotable<null> {
  static readonly PORT = 0xf4;
  static readonly PORTS = 4;
  readonly maxAccessBytes = 4;
  readonly #power: PowerControl;

  constructor(options: { readonly power: PowerControl }) {
    this.#power = options.power;
  }

  readPort(_port: number, _size: AccessSize): number {
    return 0;
  }

  /** The status is a process's exit status: its low eight bits. */
  writePort(_port: number, _size: AccessSize, value: number): void {
    this.#power.powerOff((2 * value + 1) & 0xff);
  }

  /** It has no state. */
  save(): null {
    return null;
  }

  restore(_state: null): void {}
}
