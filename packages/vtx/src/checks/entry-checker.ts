import { FIELD, VMCS_FIELD_NAMES } from '../vmcs/fields.ts';
import { ENTRY_CHECKS } from './all-checks.ts';
import { dependencies, type EntryCheck } from './row.ts';
import type { EntryView } from './view.ts';

/** Whether any check has a reason to look at memory: an MSR-load area, a virtual TPR, a VMCS link pointer, PDPTEs that CR3 points to. */
function looksAtMemory(view: EntryView): boolean {
  const { vmcs } = view;
  return (
    vmcs.low(VM_ENTRY_MSR_LOAD_COUNT) !== 0 ||
    view.primary.useTprShadow ||
    vmcs.low(VMCS_LINK_POINTER) !== 0xffff_ffff ||
    vmcs.high(VMCS_LINK_POINTER) !== 0xffff_ffff ||
    (view.usesPaePaging && !view.secondary.enableEpt)
  );
}
const { VM_ENTRY_MSR_LOAD_COUNT, VMCS_LINK_POINTER } = FIELD;

/** What depends on a field: the numbers of the checks, and for each the bits (of 31:0) that it cares for. */
interface Dependants {
  readonly numbers: Uint16Array;
  readonly masks: Int32Array;
}

/** By the field's place in the table. */
const dependants: readonly Dependants[] = (() => {
  const lists = VMCS_FIELD_NAMES.map((): [number, number][] => []);
  for (const [number, check] of ENTRY_CHECKS.entries()) {
    for (const field of dependencies(check)) lists[VMCS_FIELD_NAMES.indexOf(field)]!.push([number, check.onlyBits?.[field] ?? -1]);
  }
  return lists.map((list) => ({ numbers: Uint16Array.from(list, ([number]) => number), masks: Int32Array.from(list, ([, mask]) => mask) }));
})();

const numbersUsing = (environment: EntryCheck['usesEnvironment']): Uint16Array =>
  Uint16Array.from(ENTRY_CHECKS.flatMap((check, number) => (check.usesEnvironment === environment ? [number] : [])));
const usingProcessor = numbersUsing('processor');
const usingMemory = numbersUsing('memory');
const encodings: Uint16Array = Uint16Array.from(VMCS_FIELD_NAMES, (name) => FIELD[name]);

/**
 * The checks of VM entry for one view, done again only where something changed: a check says which fields it depends on, the VMCS notes which fields were written,
 * so an entry that follows a successful one looks at the few rules of the few fields that differ. The result is the same as asking every rule.
 *
 * One VMCS has one checker at a time: it is the checker that forgets the VMCS's changes.
 *
 * @example
 * const checker = new EntryChecker(new EntryView(vmcs, capabilities));
 * checker.firstFailure(); // undefined: VM entry may go on
 */
export class EntryChecker {
  readonly view: EntryView;
  /** The checks to ask, each once: a list, and which are on it. */
  readonly #list: Uint16Array = new Uint16Array(ENTRY_CHECKS.length);
  readonly #isListed: Uint8Array = new Uint8Array(ENTRY_CHECKS.length);
  #count = 0;
  /** Bits 31:0 of each field at the last success. */
  readonly #seen: Int32Array = new Int32Array(VMCS_FIELD_NAMES.length);
  #succeeded = false;
  #inIa32eMode = false;
  #inSmm = false;
  #currentVmcs: number | undefined;

  constructor(view: EntryView) {
    this.view = view;
    view.vmcs.markAllChanged();
  }

  /** The first check that fails, in the order of the table; undefined where all hold. After a success the VMCS's changes are taken for seen. */
  firstFailure(): EntryCheck | undefined {
    const { view } = this;
    const { vmcs, environment } = view;
    for (let i = 0; i < vmcs.changedCount; i++) {
      const ordinal = vmcs.changedOrdinal(i);
      const { numbers, masks } = dependants[ordinal]!;
      // Where the low halves are alike the high ones differ, or the value is as it was: rules that care for some low bits need not be asked.
      const different = this.#succeeded ? vmcs.low(encodings[ordinal]!) ^ this.#seen[ordinal]! : -1;
      for (let j = 0; j < numbers.length; j++) {
        const mask = masks[j]!;
        if (mask === -1 || (different & mask) !== 0) this.#ask(numbers[j]!);
      }
    }
    const { inIa32eMode, inSmm, currentVmcs } = environment;
    const isOtherProcessorState = inIa32eMode !== this.#inIa32eMode || inSmm !== this.#inSmm || currentVmcs !== this.#currentVmcs;
    if (isOtherProcessorState) for (let i = 0; i < usingProcessor.length; i++) this.#ask(usingProcessor[i]!);
    if (isOtherProcessorState || (environment.read32 !== undefined && looksAtMemory(view)))
      for (let i = 0; i < usingMemory.length; i++) this.#ask(usingMemory[i]!);
    let first = ENTRY_CHECKS.length;
    for (let i = 0; i < this.#count; i++) {
      const number = this.#list[i]!;
      this.#isListed[number] = 0;
      if (number < first && !ENTRY_CHECKS[number]!.holds(view)) first = number;
    }
    this.#count = 0;
    if (first < ENTRY_CHECKS.length) return ENTRY_CHECKS[first];
    for (let i = 0; i < vmcs.changedCount; i++) {
      const ordinal = vmcs.changedOrdinal(i);
      this.#seen[ordinal] = vmcs.low(encodings[ordinal]!);
    }
    vmcs.clearChanged();
    this.#succeeded = true;
    this.#inIa32eMode = inIa32eMode;
    this.#inSmm = inSmm;
    this.#currentVmcs = currentVmcs;
    return undefined;
  }

  #ask(number: number): void {
    if (this.#isListed[number] === 1) return;
    this.#isListed[number] = 1;
    this.#list[this.#count++] = number;
  }
}
