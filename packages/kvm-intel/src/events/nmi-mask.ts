import type { VendorNmis } from '@minusone/kvm';
import { FIELD } from '@minusone/vtx';
import type { ControlStructure } from '../vmcs/control-structure.ts';
import type { ExecutionControls } from '../vmcs/execution-controls.ts';
import { Interruptibility } from './interruptibility.ts';

/**
 * Blocking of NMIs from the injection of one to the end of its handler's IRET. With "virtual NMIs" the processor keeps it, in the interruptibility state (SDM Vol. 3C, 25.4.2):
 * the injection sets it, IRET clears it, and "NMI-window exiting" tells when it is gone.
 */
export class NmiMask implements VendorNmis {
  readonly #structure: ControlStructure;
  readonly #controls: ExecutionControls;
  #window = false;
  /** The next entry injects an NMI, and so blocks others: until then the field must say that none are (27.3.1.5). */
  #injecting = false;

  constructor(structure: ControlStructure, controls: ExecutionControls) {
    this.#structure = structure;
    this.#controls = controls;
  }

  get masked(): boolean {
    return this.#injecting || (this.#structure.low(FIELD.GUEST_INTERRUPTIBILITY_INFO) & Interruptibility.NMI) !== 0;
  }
  set(masked: boolean): void {
    this.#injecting = false;
    this.#block(masked);
  }
  #block(masked: boolean): void {
    this.#structure.setBits(FIELD.GUEST_INTERRUPTIBILITY_INFO, Interruptibility.NMI, masked ? Interruptibility.NMI : 0);
  }

  /** An NMI is to be injected. */
  injects(): void {
    this.#injecting = true;
    this.#block(false);
  }
  /** After an exit. `unblocked`: it interrupts an IRET that had ended the blocking already, and that will run again (SDM Vol. 3C, 28.2.3). */
  exited(unblocked: boolean): void {
    this.#injecting = false;
    if (unblocked) this.#block(true);
  }

  setWindow(wanted: boolean): void {
    this.#window = wanted;
    if (wanted) return;
    this.#controls.nmiWindow(false);
    this.#controls.monitorTrap(false);
  }
  /** The window is open under the shadow of an STI, but an NMI cannot be injected everywhere then (27.3.1.5): the guest goes one instruction further. */
  beforeEntry(): void {
    if (!this.#window) return;
    const inShadow = (this.#structure.low(FIELD.GUEST_INTERRUPTIBILITY_INFO) & Interruptibility.STI) !== 0 && !this.masked;
    this.#controls.monitorTrap(inShadow);
    this.#controls.nmiWindow(!inShadow);
  }
  reset(): void {
    this.set(false);
    this.setWindow(false);
  }
}
