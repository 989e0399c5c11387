import type { Machine } from '@minusone/vmm';
import type { CliIo, InputListener } from './cli-io.ts';
import { EscapeKeys } from './escape-keys.ts';

/** How often input that waits for the guest is looked at. */
const BACKLOG_POLL_MS = 10;

/** The serial line of a machine on the standard streams, together with what the guest writes to the debug port. */
export class SerialTerminal {
  readonly #io: CliIo;
  readonly #escape = new EscapeKeys();
  #machine: Machine | undefined;
  #listener: InputListener | undefined;
  #debugBytes: number[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(io: CliIo) {
    this.#io = io;
  }

  /**
   * @param options.isInteractive standard input goes to the guest
   * @param options.endsWithInput once no more input can come, a machine that waits for ever has ended
   */
  attach(machine: Machine, options: { readonly isInteractive: boolean; readonly endsWithInput: boolean }): void {
    this.#machine = machine;
    const endInput = (): void => {
      if (options.endsWithInput) machine.endInput();
    };
    machine.serial.onOutput((bytes) => {
      this.#writeDebugBytes();
      this.#io.out(bytes);
    });
    if (!options.isInteractive) {
      endInput();
      return;
    }
    const { input } = this.#io;
    if (input.isTerminal) {
      this.#io.err('Ctrl-A x leaves.\r\n');
      input.setRaw(true);
    }
    this.#listener = input.listen((bytes) => this.#typed(bytes), endInput);
  }

  /** The machine has ended: all that it said is written, and the terminal is what it was. */
  detach(): void {
    clearTimeout(this.#timer);
    this.#listener?.stop();
    this.#io.input.setRaw(false);
    this.#writeDebugBytes();
  }

  /** The guest wrote a byte to the debug port. It comes after what the guest sent over the serial line before it. */
  debugByte(byte: number): void {
    this.#machine?.serial.flush();
    if (this.#debugBytes.length === 0) setImmediate(() => this.#writeDebugBytes());
    this.#debugBytes.push(byte);
  }

  #writeDebugBytes(): void {
    if (this.#debugBytes.length === 0) return;
    this.#io.out(Uint8Array.from(this.#debugBytes));
    this.#debugBytes = [];
  }

  #typed(bytes: Uint8Array): void {
    const machine = this.#machine as Machine;
    if (!this.#io.input.isTerminal) {
      machine.serial.send(bytes);
      this.#holdBack(machine);
      return;
    }
    const { forGuest, isLeaving } = this.#escape.typed(bytes);
    machine.serial.send(forGuest);
    if (isLeaving) machine.stop();
  }

  /** A pipe may bring more than a guest will ever read: what is read ahead of the guest is one piece. */
  #holdBack(machine: Machine): void {
    this.#listener?.pause();
    const look = (): void => {
      if (machine.serial.hasInput) this.#timer = setTimeout(look, BACKLOG_POLL_MS);
      else this.#listener?.resume();
    };
    this.#timer = setTimeout(look, 0);
  }
}
