/** What an emulated instruction did at a device. */
export const AccessKind = { MMIO_READ: 0, MMIO_WRITE: 1, PORT_READ: 2, PORT_WRITE: 3 } as const;
export type AccessKind = (typeof AccessKind)[keyof typeof AccessKind];

/** One access of the log. */
export interface LoggedAccess {
  readonly kind: AccessKind;
  /** Guest-physical address, or port. */
  readonly address: number;
  /** Bytes of one item. */
  readonly size: number;
  /** What was written, or the answer: `size` bytes, times as many as a string read asks for at once. */
  readonly data: Uint8Array;
  /** How many of `data` the user has been handed, or has answered. Devices in the kernel are done at once: all. */
  done: number;
  /** How many of `data` the instruction has read. */
  taken: number;
}

/**
 * The ordered log of what one instruction did at devices, so that it can run again and touch none twice (`docs/architecture.md`, "restart"): what is in it already is answered from it,
 * what is new is added at its end. It is cleared when the instruction has completed.
 */
export class AccessLog {
  readonly #entries: LoggedAccess[] = [];
  /** The port read that the gate let through last: what the device is read for. */
  portRead: LoggedAccess | undefined;
  /** Items that a repeated string read was given ahead and has not taken yet, and how many it had taken when this iteration began. */
  #ahead: LoggedAccess | undefined;
  #aheadTaken = 0;
  /** How far the run under way has got. */
  #cursor = 0;

  get isEmpty(): boolean {
    return this.#entries.length === 0;
  }
  clear(): void {
    this.#entries.length = 0;
    this.#cursor = 0;
    this.portRead = this.#ahead = undefined;
  }
  /** One iteration of a REP has completed: only items read ahead stay. */
  clearIteration(): void {
    const { portRead } = this;
    this.clear();
    if (portRead !== undefined && portRead.taken < portRead.data.length) {
      this.#ahead = portRead;
      this.#aheadTaken = portRead.taken;
    }
  }
  /** The instruction runs (again). */
  rewind(): void {
    this.#cursor = 0;
    for (const entry of this.#entries) entry.taken = 0;
    if (this.#ahead !== undefined) this.#ahead.taken = this.#aheadTaken;
  }
  /** Items for this port that were read ahead. */
  aheadOf(port: number, size: number): LoggedAccess | undefined {
    const ahead = this.#ahead;
    return ahead !== undefined && ahead.address === port && ahead.size === size ? ahead : undefined;
  }

  /** The access that an earlier run made at this place, if it is the same; an instruction that has changed since does not get old answers: what follows is forgotten. */
  replay(kind: AccessKind, address: number, size: number): LoggedAccess | undefined {
    const entry = this.#entries[this.#cursor];
    if (entry === undefined) return undefined;
    if (entry.kind === kind && entry.address === address && entry.size === size) {
      this.#cursor++;
      return entry;
    }
    this.#entries.length = this.#cursor;
    return undefined;
  }

  add(kind: AccessKind, address: number, size: number, data: Uint8Array): LoggedAccess {
    const entry: LoggedAccess = { kind, address, size, data, done: 0, taken: 0 };
    this.#entries.push(entry);
    this.#cursor = this.#entries.length;
    return entry;
  }

  /** A read that was answered and whose bytes at this address the instruction has not taken yet. */
  answerAt(address: number, bytes: number): LoggedAccess | undefined {
    for (let at = this.#cursor; --at >= 0; ) {
      const entry = this.#entries[at] as LoggedAccess;
      if (entry.kind !== AccessKind.MMIO_READ || entry.done < entry.data.length || entry.taken >= entry.data.length) continue;
      if (address >= entry.address && address + bytes <= entry.address + entry.data.length) return entry;
    }
    return undefined;
  }

  /** The first access that the user has not been handed whole. */
  firstPending(): LoggedAccess | undefined {
    for (const entry of this.#entries) if (entry.done < entry.data.length) return entry;
    return undefined;
  }
}
