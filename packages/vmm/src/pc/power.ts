import type { PowerControl } from '@minusone/core';

/** How a machine's life ended. */
export type MachineEnd =
  /** The guest turned itself off. */
  | { readonly reason: 'power-off'; readonly status: number }
  | { readonly reason: 'reset'; readonly by: string }
  | { readonly reason: 'triple-fault'; readonly cpu: number }
  /** Every processor is halted and nothing can wake one. */
  | { readonly reason: 'dead-idle' }
  | { readonly reason: 'time-out' }
  /** `stop()` was called, or the signal aborted. */
  | { readonly reason: 'stopped' };

/** The power button and the reset line: remembers the first that the guest pulls, and stops the processors. */
export class Power implements PowerControl {
  #end: MachineEnd | undefined;
  readonly #stop: () => void;

  constructor(stop: () => void) {
    this.#stop = stop;
  }

  get end(): MachineEnd | undefined {
    return this.#end;
  }

  powerOff(status: number): void {
    this.finish({ reason: 'power-off', status });
  }

  reset(by: string): void {
    this.finish({ reason: 'reset', by });
  }

  finish(end: MachineEnd): void {
    this.#end ??= end;
    this.#stop();
  }
}
