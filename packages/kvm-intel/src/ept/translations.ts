import { FIELD, type Vmx } from '@minusone/vtx';
import type { ControlStructure } from '../vmcs/control-structure.ts';
import { eptPointer } from './ept-format.ts';

/** Types of INVEPT and INVVPID (SDM Vol. 3C, 29.4.3.1): all that goes by one EPTP or VPID, or all. */
const SINGLE_CONTEXT = 1;
const ALL_CONTEXTS = 2;
const VPIDS = 0xffff;

/** The guest's cached translations: they are the processor's under its VPID and EPT pointer, and stay there from entry to entry. */
export class Translations {
  readonly #vmx: Vmx;
  readonly #eptp: bigint;
  readonly #vpid: number;
  readonly #inveptType: number;
  readonly #invvpidType: number;

  /** @param tag 1 and up. VPIDs are 1 to FFFFH; each virtual CPU has a processor, and a TLB, of its own, so that two with the same one never meet. */
  constructor(structure: ControlStructure, vmx: Vmx, root: number, tag: number) {
    const { capabilities } = vmx;
    this.#vmx = vmx;
    this.#eptp = eptPointer(root);
    this.#vpid = capabilities.offers('secondary', 'enableVpid') ? 1 + ((tag - 1) % VPIDS) : 0;
    this.#inveptType = capabilities.offersEptVpid('inveptSingleContext') ? SINGLE_CONTEXT : ALL_CONTEXTS;
    this.#invvpidType = capabilities.offersEptVpid('invvpidSingleContext') ? SINGLE_CONTEXT : ALL_CONTEXTS;
    structure.write(FIELD.EPT_POINTER, this.#eptp);
    structure.set(FIELD.VIRTUAL_PROCESSOR_ID, this.#vpid);
  }

  /** The second stage's tables changed. */
  flushSecondStage(): void {
    this.#vmx.invept(this.#inveptType, this.#eptp);
  }
  /** Without VPIDs every entry does that. */
  flushGuest(): void {
    if (this.#vpid !== 0) this.#vmx.invvpid(this.#invvpidType, this.#vpid, 0n);
  }
}
