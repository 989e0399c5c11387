import { type Registers, State } from '@minusone/x86';
import type { DebugControl } from './vendor.ts';

/** DR0 to DR3 of a debugger in place of the guest's, while the guest runs: entry and exit of neither extension switch them. */
export class DebuggerBreakpoints {
  readonly #registers: Registers;
  /** The guest's, two halves each. */
  readonly #guest = new Int32Array(8);

  constructor(registers: Registers) {
    this.#registers = registers;
  }

  /** Before entry: puts the guest's aside. */
  load(addresses: NonNullable<DebugControl['breakpoints']>['addresses']): void {
    const registers = this.#registers;
    for (let i = 0; i < 8; i++) this.#guest[i] = registers.get32(State.dr + i * 4);
    for (let i = 0; i < 4; i++) registers.set64(State.dr + i * 8, addresses[i as 0 | 1 | 2 | 3]);
  }
  /** After exit: gives the guest's back. */
  unload(): void {
    for (let i = 0; i < 8; i++) this.#registers.set32(State.dr + i * 4, this.#guest[i] as number);
  }
}
