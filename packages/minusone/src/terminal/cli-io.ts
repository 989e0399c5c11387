/** Standard input as a command sees it. */
export interface CliInput {
  /** A person types here. */
  readonly isTerminal: boolean;
  /** Raw mode: every key comes at once, unechoed, Ctrl-C included. Does nothing where there is no terminal. */
  setRaw(raw: boolean): void;
  /** Calls `onBytes` with every piece as it comes and `onEnd` at the end, until `stop` is called. */
  listen(onBytes: (bytes: Uint8Array) => void, onEnd: () => void): InputListener;
  /** Everything up to the end. */
  readAll(): Promise<Uint8Array>;
}

/** Someone who listens to standard input. */
export interface InputListener {
  /** Nothing comes until `resume`. */
  pause(): void;
  resume(): void;
  stop(): void;
}

/** What the command line needs from the process that it runs in. */
export interface CliIo {
  readonly input: CliInput;
  /** Standard output is a terminal. */
  readonly isOutputTerminal: boolean;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Writes to standard output. */
  out(data: string | Uint8Array): void;
  /** Writes to standard error. */
  err(text: string): void;
  /** Hears when nobody reads standard output any more (EPIPE); what is written then is dropped. */
  onOutputClosed(listener: () => void): void;
}
