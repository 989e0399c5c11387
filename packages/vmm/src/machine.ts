import type { ProcessorSet, ProcessorsStatistics } from './accelerator.ts';
import type { PcBoard } from './pc/board.ts';
import type { GuestRam } from './pc/guest-ram.ts';
import type { MachineEnd, Power } from './pc/power.ts';
import type { SerialConsole } from './serial/serial-console.ts';

/** How long the processors run before the host's event loop gets a turn. */
const TURN_MS = 20;
/** A time-out is noticed between slices: they are kept about this long, whatever the guest does. Where a slice ends, nothing depends on. */
const SLICE_MS = 5;
const LEAST_SLICE = 1000;
const LONGEST_SLICE = 500_000;

/** Lets other events of the host happen. */
function yieldToHost(): Promise<void> {
  const { setImmediate } = globalThis as { setImmediate?: (done: () => void) => void };
  return new Promise((resolve) => {
    if (setImmediate === undefined) setTimeout(resolve, 0);
    else setImmediate(resolve);
  });
}

/** A running machine. Made by `boot`. */
export class Machine {
  /** COM1. */
  readonly serial: SerialConsole;
  /** Resolves when the machine has ended, and says how. */
  readonly ended: Promise<MachineEnd>;
  readonly ram: GuestRam;
  readonly board: PcBoard;
  readonly processors: ProcessorSet;
  readonly #power: Power;
  #awaitsInput = true;
  #wake: (() => void) | undefined;
  #sliceInstructions = LEAST_SLICE;
  readonly #startedMs: number;

  constructor(parts: {
    readonly serial: SerialConsole;
    readonly ram: GuestRam;
    readonly board: PcBoard;
    readonly processors: ProcessorSet;
    readonly power: Power;
    readonly timeoutMs: number | undefined;
    readonly signal: AbortSignal | undefined;
  }) {
    this.serial = parts.serial;
    this.ram = parts.ram;
    this.board = parts.board;
    this.processors = parts.processors;
    this.#power = parts.power;
    this.#startedMs = performance.now();
    parts.signal?.addEventListener('abort', () => this.stop(), { once: true });
    if (parts.signal?.aborted) this.stop();
    this.ended = this.#run(parts.timeoutMs);
  }

  /** Instructions executed and exits taken so far. */
  get statistics(): ProcessorsStatistics & { readonly seconds: number } {
    return { ...this.processors.statistics, seconds: (performance.now() - this.#startedMs) / 1000 };
  }

  /** Stops the machine; `ended` resolves with `stopped`. */
  stop(): void {
    this.#power.finish({ reason: 'stopped' });
    this.#wake?.();
  }

  /** Nothing more will be typed: from now on a machine that waits for ever has ended (`dead-idle`). */
  endInput(): void {
    this.#awaitsInput = false;
    this.#wake?.();
  }

  /** Something for the guest has come from outside: ends a wait. */
  wake(): void {
    this.#wake?.();
  }

  async #run(timeoutMs: number | undefined): Promise<MachineEnd> {
    await yieldToHost();
    const deadlineMs = timeoutMs === undefined ? Number.POSITIVE_INFINITY : this.#startedMs + timeoutMs;
    let end: MachineEnd | undefined;
    try {
      while (end === undefined) {
        await this.#turn(deadlineMs);
        this.serial.flush();
        end = this.#power.end ?? (performance.now() >= deadlineMs ? { reason: 'time-out' } : undefined);
      }
    } finally {
      this.serial.end(end === undefined ? 'the machine failed' : `the machine ended (${end.reason})`);
    }
    return end;
  }

  /** Runs the processors for a while, then lets the host have its turn; sleeps while every processor waits. */
  async #turn(deadlineMs: number): Promise<void> {
    let nowMs = performance.now();
    const turnEndMs = Math.min(nowMs + TURN_MS, deadlineMs);
    do {
      const result = this.processors.run(this.#sliceInstructions);
      const sliceStartMs = nowMs;
      nowMs = performance.now();
      this.#adaptSlice(nowMs - sliceStartMs);
      if (this.#power.end !== undefined) return;
      if (result.reason === 'shutdown') return this.#power.finish({ reason: 'triple-fault', cpu: result.cpu });
      if (result.reason === 'idle') return this.#sleep(result.deadlineNs, deadlineMs);
    } while (nowMs < turnEndMs);
    await yieldToHost();
  }

  /** Guests run at speeds that differ a thousandfold: code that is compiled, and code that rewrites itself or talks to devices. */
  #adaptSlice(tookMs: number): void {
    if (tookMs > SLICE_MS) this.#sliceInstructions = Math.max(Math.floor(this.#sliceInstructions / 4), LEAST_SLICE);
    else if (tookMs < SLICE_MS / 2) this.#sliceInstructions = Math.min(this.#sliceInstructions * 2, LONGEST_SLICE);
  }

  async #sleep(timerNs: number | undefined, deadlineMs: number): Promise<void> {
    this.serial.flush();
    if (timerNs === undefined && !this.#awaitsInput && !this.serial.hasInput) return this.#power.finish({ reason: 'dead-idle' });
    const untilTimerMs = timerNs === undefined ? Number.POSITIVE_INFINITY : (timerNs - this.board.clock.nowNs()) / 1e6;
    const ms = Math.min(untilTimerMs, deadlineMs - performance.now());
    if (ms <= 0) return yieldToHost();
    await new Promise<void>((resolve) => {
      // Without a deadline the timer only keeps the host's process alive.
      const timer = setTimeout(() => this.#wake?.(), Math.min(ms, 2 ** 30));
      this.#wake = () => {
        clearTimeout(timer);
        this.#wake = undefined;
        resolve();
      };
    });
  }
}
