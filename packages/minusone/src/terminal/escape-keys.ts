const CTRL_A = 1;

/** The keys that mean something to us and not to the guest: Ctrl-A x leaves, Ctrl-A Ctrl-A (or Ctrl-A a) types one Ctrl-A. */
export class EscapeKeys {
  #isEscaped = false;

  /** Takes what was typed. @returns what the guest gets, and whether the user wants to leave */
  typed(bytes: Uint8Array): { readonly forGuest: Uint8Array; readonly isLeaving: boolean } {
    const forGuest: number[] = [];
    for (const byte of bytes) {
      if (!this.#isEscaped) {
        if (byte === CTRL_A) this.#isEscaped = true;
        else forGuest.push(byte);
        continue;
      }
      this.#isEscaped = false;
      const key = String.fromCharCode(byte).toLowerCase();
      if (key === 'x') return { forGuest: Uint8Array.from(forGuest), isLeaving: true };
      if (byte === CTRL_A || key === 'a') forGuest.push(CTRL_A);
      else forGuest.push(CTRL_A, byte);
    }
    return { forGuest: Uint8Array.from(forGuest), isLeaving: false };
  }
}
