import type { InterruptAcknowledge, InterruptLine } from '@minusone/core';

/** What a local APIC of a split irqchip has behind LINT0: the one vector that user space's interrupt controller has handed over (KVM_INTERRUPT). */
export class ExternalVector implements InterruptAcknowledge {
  #vector = -1;
  #lint0: InterruptLine | undefined;

  connect(lint0: InterruptLine): this {
    this.#lint0 = lint0;
    return this;
  }

  /** @returns false: one is pending already */
  raise(vector: number): boolean {
    if (this.#vector >= 0) return false;
    this.#vector = vector & 0xff;
    this.#lint0?.set(true);
    return true;
  }

  acknowledge(): number {
    const vector = this.#vector;
    this.#vector = -1;
    this.#lint0?.set(false);
    return vector & 0xff;
  }
}
