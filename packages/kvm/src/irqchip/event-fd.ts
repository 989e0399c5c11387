/** What an `eventfd` is to KVM: a counter that one side signals and the other reads, or is told of (eventfd(2)). */
export class EventFd {
  #count: number;
  readonly #listeners = new Set<() => void>();

  constructor(count = 0) {
    this.#count = count;
  }

  /** Adds to the counter and tells every listener. */
  signal(count = 1): void {
    this.#count += count;
    for (const listener of this.#listeners) listener();
  }

  /** The signals since the last read, and starts anew from 0. */
  read(): number {
    const count = this.#count;
    this.#count = 0;
    return count;
  }

  /** @returns what ends it */
  onSignal(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}
