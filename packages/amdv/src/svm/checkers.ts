import type { MachineMemory } from '@minusone/memory';
import type { SvmCapabilities } from '../capabilities/capabilities.ts';
import { VmrunView } from '../checks/view.ts';
import { VmrunChecker } from '../checks/vmrun-checker.ts';
import { VMCB_BYTES, Vmcb } from '../vmcb/vmcb.ts';

/** More VMCBs than this on one CPU are checked in full when they come back. */
const KEPT = 64;

/** The checks of VMRUN for the VMCBs of one CPU, each of which remembers what last passed. */
export class Checkers {
  readonly #memory: MachineMemory;
  readonly #capabilities: SvmCapabilities;
  readonly #checkers = new Map<number, VmrunChecker>();
  #lastAt = -1;
  #last: VmrunChecker | undefined;

  constructor(memory: MachineMemory, capabilities: SvmCapabilities) {
    this.#memory = memory;
    this.#capabilities = capabilities;
  }

  /** @param at the VMCB's first doubleword in the machine's memory */
  of(at: number): VmrunChecker {
    if (at === this.#lastAt && this.#last !== undefined) return this.#last;
    let checker = this.#checkers.get(at);
    if (checker === undefined) {
      if (this.#checkers.size >= KEPT) this.#checkers.clear();
      const vmcb = new Vmcb(this.#memory.u8.subarray(at * 4, at * 4 + VMCB_BYTES));
      checker = new VmrunChecker(new VmrunView(vmcb, this.#capabilities));
      this.#checkers.set(at, checker);
    }
    this.#lastAt = at;
    this.#last = checker;
    return checker;
  }
}
