import { VMCB_FIELD } from '@minusone/amdv';
import type { VendorControlRegisters } from '@minusone/kvm';
import { Cr0, Efer } from '@minusone/x86';
import { Clean, type ControlBlock } from '../vmcb/control-block.ts';

/** CR0, CR3, CR4 and EFER of the guest, which the VMCB holds while the guest is out. */
export class ControlRegisters implements VendorControlRegisters {
  readonly #block: ControlBlock;

  constructor(block: ControlBlock) {
    this.#block = block;
  }

  cr0(): number {
    return this.#block.low(VMCB_FIELD.CR0);
  }
  setCr0(value: number): void {
    this.#block.set(VMCB_FIELD.CR0, Clean.CRX, value);
  }
  cr3(): bigint {
    return this.#block.read(VMCB_FIELD.CR3);
  }
  setCr3(value: bigint): void {
    this.#block.write(VMCB_FIELD.CR3, Clean.CRX, value);
  }
  cr4(): number {
    return this.#block.low(VMCB_FIELD.CR4);
  }
  setCr4(value: number): void {
    this.#block.set(VMCB_FIELD.CR4, Clean.CRX, value);
  }
  /** EFER without SVME, which VMRUN wants set (APM Vol. 2 15.5.1 "Canonicalization and Consistency Checks") and the guest has no business to see. */
  efer(): number {
    return this.#block.low(VMCB_FIELD.EFER) & ~Efer.SVME;
  }
  setEfer(value: number): void {
    this.#block.set(VMCB_FIELD.EFER, Clean.CRX, value | Efer.SVME);
  }

  /** APM Vol. 2 14.1.3, Table 14-1 "Initial Processor State": INIT leaves the caches' bits of CR0. */
  reset(init: boolean): void {
    const caching = Cr0.CD | Cr0.NW;
    this.setCr0((init ? this.cr0() & caching : caching) | Cr0.ET);
    this.setCr3(0n);
    this.setCr4(0);
    this.setEfer(0);
  }
}
