import { ENTRY_CONTROLS, PRIMARY_CONTROLS, SECONDARY_CONTROLS } from '../controls/tables.ts';
import { FIELD, VMCS_FIELD_NAMES, type VmcsFieldName } from '../vmcs/fields.ts';
import type { Vmcs } from '../vmcs/vmcs.ts';
import { ENTRY_CHECKS } from './all-checks.ts';
import { dependencies, type EntryCheck } from './row.ts';
import type { EntryView } from './view.ts';

const {
  TPR_THRESHOLD,
  VM_ENTRY_MSR_LOAD_COUNT,
  VMCS_LINK_POINTER,
  CPU_BASED_VM_EXEC_CONTROL,
  SECONDARY_VM_EXEC_CONTROL,
  VM_ENTRY_CONTROLS,
  GUEST_CR0,
  GUEST_CR4,
} = FIELD;
const USE_TPR_SHADOW = 1 << PRIMARY_CONTROLS.useTprShadow.bit;
const SECONDARY = 1 << PRIMARY_CONTROLS.activateSecondaryControls.bit;
const ENABLE_EPT = 1 << SECONDARY_CONTROLS.enableEpt.bit;
const IA32E_MODE_GUEST = 1 << ENTRY_CONTROLS.ia32eModeGuest.bit;
const CR0_PG = -0x8000_0000;
const CR4_PAE = 0x20;

/** Whether the guest has PDPTEs that an entry takes from where CR3 points: PAE paging without EPT. */
function hasPdptesInMemory(vmcs: Vmcs): boolean {
  if ((vmcs.low(GUEST_CR0) & CR0_PG) === 0 || (vmcs.low(GUEST_CR4) & CR4_PAE) === 0) return false;
  if ((vmcs.low(VM_ENTRY_CONTROLS) & IA32E_MODE_GUEST) !== 0) return false;
  return (vmcs.low(CPU_BASED_VM_EXEC_CONTROL) & SECONDARY) === 0 || (vmcs.low(SECONDARY_VM_EXEC_CONTROL) & ENABLE_EPT) === 0;
}

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
/** Those of them that depend on a field: what is in memory may differ whenever that field makes them look there. */
const usingMemoryBy = (field: VmcsFieldName): Uint16Array => usingMemory.filter((number) => dependencies(ENTRY_CHECKS[number]!).has(field));
const usingMsrArea = usingMemoryBy('VM_ENTRY_MSR_LOAD_COUNT');
const usingVirtualApic = usingMemoryBy('VIRTUAL_APIC_PAGE_ADDR');
const usingLinkPointer = usingMemoryBy('VMCS_LINK_POINTER');
const usingPdptes = usingMemoryBy('GUEST_CR3');
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
    if (isOtherProcessorState) {
      this.#askAll(usingProcessor);
      this.#askAll(usingMemory);
    } else if (environment.read32 !== undefined) {
      if (vmcs.low(VM_ENTRY_MSR_LOAD_COUNT) !== 0) this.#askAll(usingMsrArea);
      // A threshold of 0 is above no priority.
      if ((vmcs.low(TPR_THRESHOLD) & 15) !== 0 && (vmcs.low(CPU_BASED_VM_EXEC_CONTROL) & USE_TPR_SHADOW) !== 0)
        this.#askAll(usingVirtualApic);
      if (vmcs.low(VMCS_LINK_POINTER) !== 0xffff_ffff || vmcs.high(VMCS_LINK_POINTER) !== 0xffff_ffff) this.#askAll(usingLinkPointer);
      if (hasPdptesInMemory(vmcs)) this.#askAll(usingPdptes);
    }
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

  #askAll(numbers: Uint16Array): void {
    for (let i = 0; i < numbers.length; i++) this.#ask(numbers[i]!);
  }
  #ask(number: number): void {
    if (this.#isListed[number] === 1) return;
    this.#isListed[number] = 1;
    this.#list[this.#count++] = number;
  }
}
