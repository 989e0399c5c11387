import { type Expr, extendU, type FunctionBuilder, load, wrap } from '@minusone/wasm';

/** Loads and stores of the CPU's state and of memory at addresses that are known to be good. 1, 2 and 4 bytes are i32, zero-extended; 8 are i64; 16 are v128. */
export type AccessBytes = 1 | 2 | 4 | 8 | 16;

/** The value at `base + offset`, read where the expression is used. */
export function loadAt(base: Expr, offset: number, bytes: AccessBytes): Expr {
  return load(bytes === 16 ? 'v128' : bytes === 8 ? 'i64' : 'i32', base, { offset, bytes });
}

/** As `loadAt`, sign-extended to i64. */
export function loadSignedAt(base: Expr, offset: number, bytes: 1 | 2 | 4): Expr {
  return load('i64', base, { offset, bytes, signed: true });
}

/** Stores the low `bytes` of a value. */
export function storeTo(f: FunctionBuilder, base: Expr, offset: number, bytes: AccessBytes, value: Expr): void {
  f.store(base, asType(value, bytes), { offset, bytes });
}

/** An integer in the type that a quantity of `bytes` has: i64 for 8, i32 below. Vectors stay. */
export function asType(value: Expr, bytes: number): Expr {
  if (bytes === 8) return value.type === 'i32' ? extendU(value) : value;
  return value.type === 'i64' && bytes < 8 ? wrap(value) : value;
}
