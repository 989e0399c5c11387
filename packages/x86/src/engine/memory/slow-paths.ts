import { InternalError } from '@minusone/core';
import { hasErrorCode } from '../../cpu/fault.ts';
import { State } from '../../state/layout.ts';
import type { SlowPathFunctions } from '../generated-code.ts';
import type { LinearMemory } from './linear-memory.ts';

/** What WebAssembly calls where the TLB does not help, for all CPUs of a machine; see `SlowPaths` in semantics/runtime. Nothing here throws for a guest's fault. */
export class SlowPathTable implements SlowPathFunctions {
  readonly #memories = new Map<number, LinearMemory>();
  #lastState = 0;
  #last: LinearMemory | undefined;

  add(state: number, memory: LinearMemory): void {
    this.#memories.set(state, memory);
  }
  remove(state: number): void {
    this.#memories.delete(state);
    this.#last = undefined;
  }
  #memoryOf(cpu: number): LinearMemory {
    if (cpu !== this.#lastState || this.#last === undefined) {
      this.#last = this.#memories.get(cpu);
      this.#lastState = cpu;
      if (this.#last === undefined) throw new InternalError(`No CPU has its state at ${cpu}.`);
    }
    return this.#last;
  }

  readonly load = (cpu: number, low: number, high: number, access: number): number => {
    const memory = this.#memoryOf(cpu);
    const bytes = access & 0xffff;
    const { kind } = memory;
    if (!memory.check(low, high, bytes, access >>> 16, kind)) return 0;
    const scratch = cpu + State.scratch;
    return memory.read(low, high, bytes, kind, scratch) ? scratch : 0;
  };
  readonly store = (cpu: number, low: number, high: number, access: number): number => {
    const memory = this.#memoryOf(cpu);
    const bytes = access & 0xffff;
    const { kind } = memory;
    if (!memory.check(low, high, bytes, access >>> 16, kind)) return 0;
    return memory.write(low, high, bytes, kind, cpu + State.scratch) ? 1 : 0;
  };
  readonly claim = (cpu: number, low: number, high: number, access: number): number => {
    const memory = this.#memoryOf(cpu);
    const bytes = access & 0xffff;
    const { kind } = memory;
    if (!memory.check(low, high, bytes, access >>> 16, kind) || !memory.probe(low, high, bytes, kind)) return 0;
    const host = memory.tlb.current.find(low, high, bytes, true);
    if (host >= 0) return host;
    const scratch = cpu + State.scratch;
    return memory.read(low, high, bytes, kind, scratch) ? scratch : 0;
  };
  readonly probe = (cpu: number, low: number, high: number, access: number): number => {
    const memory = this.#memoryOf(cpu);
    const bytes = access & 0xffff;
    return memory.check(low, high, bytes, access >>> 16, memory.kind) && memory.probe(low, high, bytes, memory.kind) ? 1 : 0;
  };
  readonly raise = (cpu: number, vector: number, errorCode: number): void => {
    this.#memoryOf(cpu).fault(vector, hasErrorCode(vector) ? Math.max(errorCode, 0) : -1);
  };
}
