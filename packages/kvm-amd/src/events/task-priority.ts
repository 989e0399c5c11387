import { VMCB_FIELD } from '@minusone/amdv';
import type { VendorPriority } from '@minusone/kvm';
import { Clean, type ControlBlock } from '../vmcb/control-block.ts';
import type { Intercepts } from '../vmcb/intercepts.ts';

/** CR8 of the guest is V_TPR (APM Vol. 2 15.21.1, 15.21.2). There is no threshold to give: while something waits below the priority, writes of CR8 exit. */
export class TaskPriority implements VendorPriority {
  threshold = 0;
  readonly #block: ControlBlock;
  readonly #intercepts: Intercepts;

  constructor(block: ControlBlock, intercepts: Intercepts) {
    this.#block = block;
    this.#intercepts = intercepts;
  }

  get(): number {
    return this.#block.low(VMCB_FIELD.V_TPR) & 0xf;
  }
  set(priority: number, threshold: number): void {
    this.#block.set(VMCB_FIELD.V_TPR, Clean.TPR, priority & 0xf);
    this.threshold = threshold;
    this.#intercepts.cr8Writes(threshold > 0);
  }
}
