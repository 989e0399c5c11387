const FILLED = 1;
const GLOBAL = 2;

/**
 * Which entries of a table have been filled, in a list, and which of them stand for global pages: so that forgetting costs as much as was filled, and changing the address
 * space as much as was not global.
 */
export class TrackedEntries {
  /** How many are filled. An entry that was emptied by itself stays listed until the next `forget`. */
  count = 0;
  readonly #list: Uint16Array;
  readonly #marks: Uint8Array;

  /** @param entries size of the table, at most 65536 */
  constructor(entries: number) {
    this.#list = new Uint16Array(entries);
    this.#marks = new Uint8Array(entries);
  }

  /** An entry is filled. */
  note(index: number, global: boolean): void {
    if (this.#marks[index] === 0) this.#list[this.count++] = index;
    this.#marks[index] = global ? FILLED | GLOBAL : FILLED;
  }
  /** Index of the n-th that is filled. */
  at(n: number): number {
    return this.#list[n] as number;
  }
  isGlobal(index: number): boolean {
    return ((this.#marks[index] as number) & GLOBAL) !== 0;
  }
  /** The entries have been emptied: all, or all that are not global. */
  forget(keepGlobal: boolean): void {
    let kept = 0;
    for (let n = 0; n < this.count; n++) {
      const index = this.#list[n] as number;
      if (keepGlobal && this.isGlobal(index)) this.#list[kept++] = index;
      else this.#marks[index] = 0;
    }
    this.count = kept;
  }
}
