/** Instructions between two looks at the event loop: a few milliseconds. */
export const SLICE_INSTRUCTIONS = 500_000;
const TURN_MS = 10;

/** Lets other events of the host happen. */
export function yieldToHost(): Promise<void> {
  const { setImmediate } = globalThis as { setImmediate?: (done: () => void) => void };
  return new Promise((resolve) => {
    if (setImmediate === undefined) setTimeout(resolve, 0);
    else setImmediate(resolve);
  });
}

/** When somebody is to be woken: a deadline, an abort, or a call of `wake`. */
export class Sleeper {
  #wake: (() => void) | undefined;

  wake(): void {
    this.#wake?.();
  }

  /** @param ms undefined: until `wake` */
  async sleep(ms: number | undefined, signal: AbortSignal | undefined): Promise<void> {
    if (signal?.aborted) return;
    await new Promise<void>((resolve) => {
      const timer = ms === undefined ? undefined : setTimeout(resolve, Math.max(0, Math.min(ms, 2 ** 31 - 1)));
      this.#wake = () => {
        if (timer !== undefined) clearTimeout(timer);
        resolve();
      };
      signal?.addEventListener('abort', this.#wake, { once: true });
    });
    if (this.#wake !== undefined) signal?.removeEventListener('abort', this.#wake);
    this.#wake = undefined;
  }
}

/** Gives the event loop its turn whenever some milliseconds have gone by. */
export class Turns {
  #startMs: number = performance.now();

  async next(): Promise<void> {
    if (performance.now() - this.#startMs < TURN_MS) return;
    await yieldToHost();
    this.#startMs = performance.now();
  }
}
