import { VMCS_FIELD_NAMES } from '../vmcs/fields.ts';
import { ENTRY_CHECKS } from './all-checks.ts';
import { dependencies, type EntryCheck } from './row.ts';
import type { EntryView } from './view.ts';

/** For each field, by its place in the table, the numbers of the checks that depend on it. */
const checksOfField: readonly Uint16Array[] = (() => {
  const lists = VMCS_FIELD_NAMES.map((): number[] => []);
  for (const [number, check] of ENTRY_CHECKS.entries()) {
    for (const field of dependencies(check)) lists[VMCS_FIELD_NAMES.indexOf(field)]!.push(number);
  }
  return lists.map((list) => Uint16Array.from(list));
})();

const environmental: Uint16Array = Uint16Array.from(ENTRY_CHECKS.flatMap((check, number) => (check.usesEnvironment ? [number] : [])));

/**
 * The checks of VM entry for one view, done again only where something changed: a check says which fields it depends on, the VMCS notes which fields were written,
 * so an entry that follows a successful one looks at the few rules of the few fields that differ. The result is the same as asking every rule.
 *
 * @example
 * const checker = new EntryChecker(new EntryView(vmcs, capabilities));
 * checker.firstFailure(); // undefined: VM entry may go on
 */
export class EntryChecker {
  readonly view: EntryView;
  readonly #marked: Uint8Array = new Uint8Array(ENTRY_CHECKS.length);

  constructor(view: EntryView) {
    this.view = view;
    view.vmcs.markAllChanged();
  }

  /** The first check that fails, in the order of the table; undefined where all hold. After a success the VMCS's changes are taken for seen. */
  firstFailure(): EntryCheck | undefined {
    const { view } = this;
    const { vmcs } = view;
    const marked = this.#marked;
    let lowest = ENTRY_CHECKS.length;
    let highest = -1;
    for (let i = 0; i < vmcs.changedCount; i++) {
      const list = checksOfField[vmcs.changedOrdinal(i)]!;
      for (let j = 0; j < list.length; j++) {
        const number = list[j]!;
        marked[number] = 1;
        if (number < lowest) lowest = number;
        if (number > highest) highest = number;
      }
    }
    for (let i = 0; i < environmental.length; i++) {
      const number = environmental[i]!;
      marked[number] = 1;
      if (number < lowest) lowest = number;
      if (number > highest) highest = number;
    }
    let failed: EntryCheck | undefined;
    for (let number = lowest; number <= highest; number++) {
      if (marked[number] === 0) continue;
      marked[number] = 0;
      if (failed === undefined && !ENTRY_CHECKS[number]!.holds(view)) failed = ENTRY_CHECKS[number];
    }
    if (failed === undefined) vmcs.clearChanged();
    return failed;
  }
}
