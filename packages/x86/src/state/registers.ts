import type { MachineMemory } from '@minusone/memory';
import { State } from './layout.ts';

/**
 * One CPU's state as TypeScript sees it: typed access to the fields of the layout table. 64-bit registers are read and written as two 32-bit
 * halves where it is warm, as BigInt where it is cold.
 */
export class Registers {
  readonly #i32: Int32Array;
  readonly #b64: BigInt64Array;
  /** Address of the state, divided by 4 and by 8. */
  readonly #w: number;
  readonly #q: number;

  constructor(memory: MachineMemory, state: number) {
    this.#i32 = memory.i32;
    this.#b64 = memory.b64;
    this.#w = state >>> 2;
    this.#q = state >>> 3;
  }

  /** Signed 32-bit read of a field (or its low half). */
  get32(offset: number): number {
    return this.#i32[this.#w + (offset >>> 2)] as number;
  }
  set32(offset: number, value: number): void {
    this.#i32[this.#w + (offset >>> 2)] = value;
  }
  /** Unsigned 64-bit read of a field. */
  get64(offset: number): bigint {
    return BigInt.asUintN(64, this.#b64[this.#q + (offset >>> 3)] as bigint);
  }
  set64(offset: number, value: bigint): void {
    this.#b64[this.#q + (offset >>> 3)] = BigInt.asIntN(64, value);
  }
  /** Low and high half of a general register, signed. */
  gprLow(index: number): number {
    return this.#i32[this.#w + (State.gpr >>> 2) + index * 2] as number;
  }
  gprHigh(index: number): number {
    return this.#i32[this.#w + (State.gpr >>> 2) + index * 2 + 1] as number;
  }
  gpr(index: number): bigint {
    return this.get64(State.gpr + index * 8);
  }
  setGpr(index: number, value: bigint): void {
    this.set64(State.gpr + index * 8, value);
  }
  setGprHalves(index: number, low: number, high: number): void {
    this.#i32[this.#w + (State.gpr >>> 2) + index * 2] = low;
    this.#i32[this.#w + (State.gpr >>> 2) + index * 2 + 1] = high;
  }
  get rip(): bigint {
    return this.get64(State.rip);
  }
  set rip(value: bigint) {
    this.set64(State.rip, value);
  }
}
