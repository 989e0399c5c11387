import { InternalError } from '@minusone/core';
import type { KvmPitState2 } from './chip-states.ts';
import type { IrqchipPorts } from './irqchip.ts';

/** The 8254 "in the kernel", on GSI 0. */
export class Pit2 {
  /** 40H-43H, and 61H if asked for. */
  readonly ports: readonly IrqchipPorts[] = [];

  /** KVM_GET_PIT2, KVM_SET_PIT2 (api.rst, 4.72, 4.73). */
  getPit2(): KvmPitState2 {
    throw new InternalError('in work');
  }
  setPit2(_state: KvmPitState2): void {
    throw new InternalError('in work');
  }
  /** KVM_REINJECT_CONTROL (api.rst, 4.45?): ticks that the guest has not taken yet are kept and injected one by one (true, at first), or dropped. */
  reinjectControl(_pitReinject: boolean): void {
    throw new InternalError('in work');
  }
}
