import type { CliIo } from 'minusone';

/** Standard streams in memory: what a test types, and what the command says. */
export interface MemoryIo extends CliIo {
  readonly stdout: string;
  readonly stderr: string;
  /** How often raw mode was turned on and off. */
  readonly rawModes: readonly boolean[];
}

/**
 * @param options.stdin pieces of a pipe, which then ends; or a terminal, on which nobody types but `keys`
 */
export function memoryIo(
  options: { readonly stdin?: readonly string[]; readonly isTerminal?: boolean; readonly env?: Record<string, string> } = {},
): MemoryIo {
  const out: Uint8Array[] = [];
  const rawModes: boolean[] = [];
  const encoder = new TextEncoder();
  const pieces = (options.stdin ?? []).map((text) => encoder.encode(text));
  let stderr = '';
  return {
    env: options.env ?? {},
    isOutputTerminal: options.isTerminal ?? false,
    rawModes,
    get stdout() {
      return Buffer.concat(out).toString('utf8');
    },
    get stderr() {
      return stderr;
    },
    out: (data) => void out.push(typeof data === 'string' ? encoder.encode(data) : data),
    err: (text) => {
      stderr += text;
    },
    onOutputClosed: () => {},
    input: {
      isTerminal: options.isTerminal ?? false,
      setRaw: (raw) => {
        if (options.isTerminal) rawModes.push(raw);
      },
      readAll: async () => new Uint8Array(Buffer.concat(pieces)),
      listen: (onBytes, onEnd) => {
        const left = [...pieces];
        let isStopped = false;
        let isPaused = false;
        const next = (): void => {
          if (isStopped || isPaused) return;
          const piece = left.shift();
          if (piece === undefined) {
            if (!options.isTerminal) onEnd();
            return;
          }
          onBytes(piece);
          setTimeout(next, 0);
        };
        setTimeout(next, 0);
        return {
          pause: () => {
            isPaused = true;
          },
          resume: () => {
            if (!isPaused) return;
            isPaused = false;
            setTimeout(next, 0);
          },
          stop: () => {
            isStopped = true;
          },
        };
      },
    },
  };
}
