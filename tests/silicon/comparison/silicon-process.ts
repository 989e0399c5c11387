import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { binary } from '../harness.ts';

/** What came back for a batch: the records, by case. */
export interface BatchResults {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly u32: Uint32Array;
  /** Where the record of each case begins. */
  readonly offsets: number[];
}

/** One running native harness that batches are sent to, one after another. */
export class SiliconProcess {
  readonly #child: ChildProcessWithoutNullStreams;
  #chunks: Buffer[] = [];
  #received = 0;
  #complaint = '';
  #wake: (() => void) | undefined;
  #ended = false;

  constructor() {
    this.#child = spawn(binary(), { stdio: ['pipe', 'pipe', 'pipe'] });
    this.#child.stdout.on('data', (chunk: Buffer) => {
      this.#chunks.push(chunk);
      this.#received += chunk.length;
      this.#wake?.();
    });
    this.#child.stderr.on('data', (chunk: Buffer) => {
      this.#complaint += chunk;
    });
    this.#child.stdin.on('error', () => {});
    this.#child.on('close', () => {
      this.#ended = true;
      this.#wake?.();
    });
  }

  /** Sends a batch; resolves with its results. The batch's bytes must stay as they are until then. */
  async run(batch: Uint8Array, count: number): Promise<BatchResults> {
    this.#child.stdin.write(batch);
    let bytes = new Uint8Array(0);
    const offsets: number[] = new Array(count).fill(-1);
    let at = 0;
    let seen = 0;
    for (;;) {
      if (this.#received > 0) {
        // Copied, so that records are aligned as they are in the stream.
        const joined = new Uint8Array(bytes.length + this.#received);
        joined.set(bytes);
        let to = bytes.length;
        for (const chunk of this.#chunks) {
          joined.set(chunk, to);
          to += chunk.length;
        }
        this.#chunks = [];
        this.#received = 0;
        bytes = joined;
        const view = new DataView(bytes.buffer);
        while (at + 8 <= bytes.length) {
          const size = view.getUint32(at, true);
          if (at + size > bytes.length) break;
          offsets[view.getUint32(at + 4, true)] = at;
          at += size;
          seen++;
        }
        if (seen === count) return { bytes, view, u32: new Uint32Array(bytes.buffer, 0, bytes.length >> 2), offsets };
      }
      if (this.#ended) throw new Error(`the silicon harness ended early: ${this.#complaint}`);
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        if (this.#received > 0 || this.#ended) resolve();
      });
    }
  }
  close(): void {
    this.#child.stdin.end();
  }
}
