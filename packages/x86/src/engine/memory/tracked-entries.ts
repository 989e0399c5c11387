const GLOBAL = 1;
const LISTED_AS_LOCAL = 2;
const LISTED_AS_GLOBAL = 4;

/**
 * Which entries of a table have been filled, and which of them stand for global pages: so that forgetting costs as much as was filled, and changing the address space as
 * much as was not global.
 */
export class TrackedEntries {
  readonly #marks: Uint8Array;
  readonly #locals: Uint16Array;
  readonly #globals: Uint16Array;
  #localCount = 0;
  #globalCount = 0;

  /** @param entries size of the table, at most 65536 */
  constructor(entries: number) {
    this.#marks = new Uint8Array(entries);
    this.#locals = new Uint16Array(entries);
    this.#globals = new Uint16Array(entries);
  }

  /** An entry is filled. */
  note(index: number, global: boolean): void {
    const mark = this.#marks[index] as number;
    if (global) {
      if ((mark & LISTED_AS_GLOBAL) === 0) this.#globals[this.#globalCount++] = index;
      this.#marks[index] = mark | LISTED_AS_GLOBAL | GLOBAL;
    } else {
      if ((mark & LISTED_AS_LOCAL) === 0) this.#locals[this.#localCount++] = index;
      this.#marks[index] = (mark | LISTED_AS_LOCAL) & ~GLOBAL;
    }
  }
  isGlobal(index: number): boolean {
    return ((this.#marks[index] as number) & GLOBAL) !== 0;
  }

  /** How many places `at` knows: an entry may be named twice, or have been emptied by itself. */
  get count(): number {
    return this.#localCount + this.#globalCount;
  }
  /** Index of the n-th entry that has been filled. */
  at(n: number): number {
    return (n < this.#localCount ? this.#locals[n] : this.#globals[n - this.#localCount]) as number;
  }

  /** Takes one entry off the list of those that are to be emptied: its index; -1 when there is none left. */
  takeLocal(): number {
    while (this.#localCount > 0) {
      const index = this.#locals[--this.#localCount] as number;
      const mark = this.#marks[index] as number;
      this.#marks[index] = mark & ~LISTED_AS_LOCAL;
      if ((mark & GLOBAL) === 0) return index;
    }
    return -1;
  }
  /** As `takeLocal`, of all entries. */
  take(): number {
    const local = this.takeLocal();
    if (local >= 0) return local;
    if (this.#globalCount === 0) return -1;
    const index = this.#globals[--this.#globalCount] as number;
    this.#marks[index] = 0;
    return index;
  }
}
