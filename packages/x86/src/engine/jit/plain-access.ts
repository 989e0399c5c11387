import { InternalError } from '@minusone/core';
import type { MachineMemory } from '@minusone/memory';
import { PageFlag } from '@minusone/memory';
import { State } from '../../state/layout.ts';
import { copyBytes } from '../memory/copy-bytes.ts';
import type { LinearMemory } from '../memory/linear-memory.ts';

/**
 * The slow paths of regions: plain accesses to RAM that the TLB does not cover (a miss, two pages, a page that bears code elsewhere). Everything else is refused with 0
 * and without a trace: faults, devices, read-only memory, watched addresses, writes to code. The region then leaves, and the interpreter runs the instruction.
 *
 * Linear addresses come as two halves, `access` is `bytes | segment << 16`, as in `SlowPaths` of semantics/runtime.
 */
export class PlainAccess {
  readonly #memory: MachineMemory;
  readonly #memories = new Map<number, LinearMemory>();
  /** Where the bytes of the last `find` stand: those in the first page, and those in the second one. */
  #host = 0;
  #first = 0;
  #nextHost = 0;

  constructor(memory: MachineMemory) {
    this.#memory = memory;
  }
  addCpu(state: number, memory: LinearMemory): void {
    this.#memories.set(state, memory);
  }
  removeCpu(state: number): void {
    this.#memories.delete(state);
  }

  #find(cpu: number, low: number, high: number, access: number, write: boolean): boolean {
    const memory = this.#memories.get(cpu);
    if (memory === undefined) throw new InternalError(`No CPU has its state at ${cpu}.`);
    const bytes = access & 0xffff;
    const { kind } = memory;
    if (!memory.check(low, high, bytes, access >>> 16, kind) || memory.isWatched(low, high, bytes)) return false;
    if (!memory.locate(low, high, write, kind) || memory.host < 0) return false;
    this.#host = memory.host;
    this.#first = Math.min(bytes, 0x1000 - (low & 0xfff));
    if (write && this.#touchesCode(this.#host, this.#first)) return false;
    if (this.#first === bytes) return true;
    if (!memory.locate((low + this.#first) | 0, memory.highAfter(low, high, this.#first), write, kind) || memory.host < 0) return false;
    this.#nextHost = memory.host;
    return !write || !this.#touchesCode(this.#nextHost, bytes - this.#first);
  }
  #touchesCode(host: number, bytes: number): boolean {
    const { marks } = this.#memory;
    return ((marks.pageFlags[host >>> 12] as number) & PageFlag.CODE) !== 0 && marks.codeTouches(host, bytes);
  }
  /** To be called for bytes that are (or are about to be) written: dirty logging. */
  #written(host: number, bytes: number): void {
    const { marks } = this.#memory;
    if (marks.pageFlags[host >>> 12] !== 0) marks.written(host, bytes);
  }

  readonly load = (cpu: number, low: number, high: number, access: number): number => {
    if (!this.#find(cpu, low, high, access, false)) return 0;
    const bytes = access & 0xffff;
    return this.#first === bytes ? this.#host : this.#gather(cpu, bytes);
  };
  #gather(cpu: number, bytes: number): number {
    const { u8 } = this.#memory;
    const scratch = cpu + State.scratch;
    copyBytes(u8, scratch, this.#host, this.#first);
    copyBytes(u8, scratch + this.#first, this.#nextHost, bytes - this.#first);
    return scratch;
  }
  readonly store = (cpu: number, low: number, high: number, access: number): number => {
    if (!this.#find(cpu, low, high, access, true)) return 0;
    const { u8 } = this.#memory;
    const bytes = access & 0xffff;
    const scratch = cpu + State.scratch;
    const first = this.#first;
    copyBytes(u8, this.#host, scratch, first);
    this.#written(this.#host, first);
    if (first < bytes) {
      copyBytes(u8, this.#nextHost, scratch + first, bytes - first);
      this.#written(this.#nextHost, bytes - first);
    }
    return 1;
  };
  readonly claim = (cpu: number, low: number, high: number, access: number): number => {
    if (!this.#find(cpu, low, high, access, true)) return 0;
    const bytes = access & 0xffff;
    if (this.#first < bytes) return this.#gather(cpu, bytes);
    this.#written(this.#host, bytes);
    return this.#host;
  };
  readonly probe = (cpu: number, low: number, high: number, access: number): number => (this.#find(cpu, low, high, access, true) ? 1 : 0);
}
