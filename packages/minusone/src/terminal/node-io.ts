import { constants } from 'node:os';
import type { CliInput, CliIo, InputListener } from './cli-io.ts';

/** After these the process ends, but not before the terminal is what it was. */
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** The standard streams of this process. */
export class NodeIo implements CliIo {
  readonly input: CliInput = new NodeInput();
  readonly env: Readonly<Record<string, string | undefined>> = process.env;
  #isClosed = false;
  readonly #closedListeners: (() => void)[] = [];

  constructor() {
    process.stdout.on('error', (error: NodeJS.ErrnoException) => this.#failed(error));
    process.stderr.on('error', () => {}); // nowhere left to say so
    process.on('exit', () => this.input.setRaw(false));
    for (const signal of SIGNALS) process.on(signal, () => process.exit(128 + constants.signals[signal]));
  }

  get isOutputTerminal(): boolean {
    return process.stdout.isTTY === true;
  }

  out(data: string | Uint8Array): void {
    if (!this.#isClosed) process.stdout.write(data);
  }

  err(text: string): void {
    process.stderr.write(text);
  }

  onOutputClosed(listener: () => void): void {
    if (this.#isClosed) listener();
    else this.#closedListeners.push(listener);
  }

  /** Resolves when all that was written has been taken. */
  async flush(): Promise<void> {
    await Promise.all([process.stdout, process.stderr].map((stream) => new Promise<void>((done) => stream.write('', () => done()))));
  }

  #failed(error: NodeJS.ErrnoException): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    if (error.code !== 'EPIPE') this.err(`minusone: standard output cannot be written: ${error.message}\n`);
    for (const listener of this.#closedListeners) listener();
  }
}

class NodeInput implements CliInput {
  #isRaw = false;

  get isTerminal(): boolean {
    return process.stdin.isTTY === true;
  }

  setRaw(raw: boolean): void {
    if (!this.isTerminal || raw === this.#isRaw) return;
    process.stdin.setRawMode(raw);
    this.#isRaw = raw;
  }

  listen(onBytes: (bytes: Uint8Array) => void, onEnd: () => void): InputListener {
    const { stdin } = process;
    // A closed descriptor or a folder as standard input: nothing can come.
    const listeners = { data: (bytes: Uint8Array) => onBytes(new Uint8Array(bytes)), end: onEnd, error: onEnd };
    for (const [event, listener] of Object.entries(listeners)) stdin.on(event, listener);
    return {
      pause: () => stdin.pause(),
      resume: () => stdin.resume(),
      stop: () => {
        for (const [event, listener] of Object.entries(listeners)) stdin.off(event, listener);
        stdin.pause();
      },
    };
  }

  async readAll(): Promise<Uint8Array> {
    const pieces: Buffer[] = [];
    for await (const piece of process.stdin) pieces.push(piece);
    return new Uint8Array(Buffer.concat(pieces));
  }
}
