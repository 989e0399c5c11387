import { VMCB_FIELDS } from '../vmcb/fields.ts';
import { VMRUN_CHECKS } from './all-checks.ts';
import type { VmrunCheck } from './row.ts';
import type { VmrunView } from './view.ts';

/** The doublewords that some check depends on, and for each the checks as bits. */
const watched: readonly (readonly [word: number, checks: number])[] = (() => {
  const byWord = new Map<number, number>();
  for (const [number, { fields }] of VMRUN_CHECKS.entries()) {
    for (const field of fields) {
      const { offset, bits } = VMCB_FIELDS[field];
      for (let word = offset >>> 2; word < (offset >>> 2) + (bits === 64 ? 2 : 1); word++) {
        byWord.set(word, (byWord.get(word) ?? 0) | (1 << number));
      }
    }
  }
  return [...byWord];
})();
const WORDS: Uint16Array = Uint16Array.from(watched, ([word]) => word);
const DEPENDANTS: Int32Array = Int32Array.from(watched, ([, checks]) => checks);
const ALL = VMRUN_CHECKS.length === 32 ? -1 : 2 ** VMRUN_CHECKS.length - 1;
const USES_HOST: number = VMRUN_CHECKS.reduce(
  (mask, { usesEnvironment }, number) => mask | (usesEnvironment === true ? 1 << number : 0),
  0,
);

/**
 * The checks of VMRUN for one VMCB, done again only where something changed: its doublewords are compared with those that last passed. The result is the same as asking
 * every rule.
 *
 * @example
 * const checker = new VmrunChecker(new VmrunView(vmcb, capabilities));
 * checker.firstFailure(true); // undefined: the guest may be entered
 */
export class VmrunChecker {
  readonly view: VmrunView;
  readonly #seen: Int32Array = new Int32Array(WORDS.length);
  #passed = false;

  constructor(view: VmrunView) {
    this.view = view;
  }

  /** The first check that fails, in the order of the table; undefined where all hold. */
  firstFailure(hostPaging: boolean): VmrunCheck | undefined {
    const { view } = this;
    const { words } = view.vmcb;
    const seen = this.#seen;
    let asked = this.#passed ? 0 : ALL;
    for (let i = 0; i < WORDS.length; i++) {
      const word = words[WORDS[i] as number] as number;
      if (word === seen[i]) continue;
      seen[i] = word;
      asked |= DEPENDANTS[i] as number;
    }
    if (hostPaging !== view.environment.hostPaging) {
      view.environment = { hostPaging };
      asked |= USES_HOST;
    }
    this.#passed = false;
    for (let number = 0; asked !== 0; number++, asked >>>= 1) {
      if ((asked & 1) === 0) continue;
      const check = VMRUN_CHECKS[number] as VmrunCheck;
      if (!check.holds(view)) return check;
    }
    this.#passed = true;
    return undefined;
  }
}
