import { EVERY_PRIORITY, type HostPages, type VendorPriority } from '@minusone/kvm';
import { FIELD } from '@minusone/vtx';
import type { ControlStructure } from '../vmcs/control-structure.ts';
import type { ExecutionControls } from '../vmcs/execution-controls.ts';

/** Offset of the TPR in the virtual-APIC page (SDM Vol. 3C, 30.1.1 "Virtualized APIC Registers"). */
const VTPR = 0x80;

/** CR8 of the guest: "use TPR shadow" makes it bits 7:4 of the virtual TPR, without an exit until it falls below the TPR threshold (SDM Vol. 3C, 30.3). */
export class TaskPriority implements VendorPriority {
  readonly #structure: ControlStructure;
  readonly #controls: ExecutionControls;
  readonly #bytes: Uint8Array;
  readonly #at: number;

  constructor(structure: ControlStructure, controls: ExecutionControls, pages: HostPages) {
    this.#structure = structure;
    this.#controls = controls;
    const page = pages.allocate();
    this.#bytes = pages.memory.u8;
    this.#at = page + VTPR;
    structure.write(FIELD.VIRTUAL_APIC_PAGE_ADDR, BigInt(page));
  }

  get(): number {
    return (this.#bytes[this.#at] as number) >>> 4;
  }
  /** @param threshold at most the priority (SDM Vol. 3C, 27.2.1.1), or `EVERY_PRIORITY` */
  set(priority: number, threshold: number): void {
    this.#bytes[this.#at] = (priority & 0xf) << 4;
    const isEvery = threshold === EVERY_PRIORITY;
    this.#controls.cr8Loads(isEvery);
    this.#structure.set(FIELD.TPR_THRESHOLD, isEvery ? 0 : threshold);
  }
}
