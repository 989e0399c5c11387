import { VMCB_FIELD } from '@minusone/amdv';
import type { VendorNmis } from '@minusone/kvm';
import type { ControlBlock } from '../vmcb/control-block.ts';
import type { Intercepts } from '../vmcb/intercepts.ts';

/**
 * Blocking of NMIs from the injection of one to the end of its handler's IRET. A VMCB has no place for it, and IRET is intercepted before it has done its work (APM Vol. 2
 * 15.9): so the guest then goes one instruction further before NMIs are open. That instruction is counted out by the budget, and needs no trap flag in the guest.
 */
export class NmiMask implements VendorNmis {
  readonly #block: ControlBlock;
  readonly #intercepts: Intercepts;
  #masked = false;
  #window = false;
  /** IRET was reached, and has not completed. */
  #inIret = false;
  #iretLow = 0;
  #iretHigh = 0;

  constructor(block: ControlBlock, intercepts: Intercepts) {
    this.#block = block;
    this.#intercepts = intercepts;
  }

  get masked(): boolean {
    return this.#masked;
  }
  set(masked: boolean): void {
    this.#masked = masked;
    this.#inIret = false;
    this.#intercepts.iret(masked);
  }
  setWindow(wanted: boolean): void {
    this.#window = wanted;
  }
  reset(): void {
    this.set(false);
    this.#window = false;
  }

  /** IRET was intercepted: the guest is to run it now. */
  iretReached(): void {
    this.#intercepts.iret(false);
    this.#inIret = true;
    this.#iretLow = this.#block.low(VMCB_FIELD.RIP);
    this.#iretHigh = this.#block.high(VMCB_FIELD.RIP);
  }
  /** At each entry: someone else (a task switch that KVM made) may have completed it. */
  beforeEntry(): void {
    if (!this.#inIret) return;
    const stands = this.#block.low(VMCB_FIELD.RIP) === this.#iretLow && this.#block.high(VMCB_FIELD.RIP) === this.#iretHigh;
    if (!stands) this.set(false);
  }

  /** The guest is to be run one instruction far: to the end of IRET, or of an interrupt shadow that an NMI waits for. */
  stepsOne(shadow: boolean): boolean {
    return this.#inIret || (this.#window && !this.#masked && shadow);
  }
  /** One instruction (or the delivery of its fault) has completed. */
  stepped(): void {
    if (this.#inIret) this.set(false);
  }
  /** NMIs are waited for and open. */
  get windowOpen(): boolean {
    return this.#window && !this.#masked;
  }
}
