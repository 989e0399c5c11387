import type { FunctionRef } from '@minusone/wasm';
import type { Subroutine } from './subroutine.ts';

/**
 * What generated code calls, in the module under construction: the slow paths, which are TypeScript, and subroutines. Linear addresses come as two halves; `access` is
 * `bytes | segment << 16`. The slow paths return 0 for a fault, whose fields are then set.
 */
export interface SlowPaths {
  /** (cpu, low, high, access) -> address in linear memory where the bytes stand: of the RAM, or of `State.scratch`. */
  readonly load: FunctionRef;
  /** (cpu, low, high, access) -> 1. The value is in `State.scratch`. Writes all of it, or faults and writes nothing. */
  readonly store: FunctionRef;
  /** (cpu, low, high, access) -> address: of RAM that may be written there, or of `State.scratch` with the value read: then `store` does the write, and does not fault. */
  readonly claim: FunctionRef;
  /** (cpu, low, high, access) -> 1 where all the bytes may be written. */
  readonly probe: FunctionRef;
  /** (cpu, vector, errorCode): sets the fault's fields. An error code of -1 means none was given. */
  readonly raise: FunctionRef;
}

export interface Runtime {
  readonly slow: SlowPaths;
  /** The subroutine as a function of the module under construction. */
  link(subroutine: Subroutine): FunctionRef;
}
