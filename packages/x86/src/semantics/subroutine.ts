import type { FunctionBuilder, FunctionRef, FunctionType } from '@minusone/wasm';

/**
 * Large semantics (soft float, x87, 128-bit division ...) are Wasm functions that both projections call: a subroutine is one of them,
 * described before any module exists. It may call others through `link`. Arguments that are pointers are offsets into the machine's memory
 * (the CPU state's address is passed by whoever needs it). Subroutines never access guest memory, never fault, and use no BigInt.
 */
export interface Subroutine {
  /** Unique. */
  readonly name: string;
  readonly type: FunctionType;
  readonly define: (f: FunctionBuilder, link: (subroutine: Subroutine) => FunctionRef) => void;
}

/** Describes a subroutine. */
export function subroutine(name: string, type: FunctionType, define: Subroutine['define']): Subroutine {
  return { name, type, define };
}
