import { and, type Expr, i32, i64 } from '@minusone/wasm';
import type { Subroutine } from '../semantics/subroutine.ts';
import { Format } from './control.ts';
import { pack32, pack64 } from './pack.ts';
import { unpack32, unpack64 } from './unpack.ts';

/** What differs between binary32 and binary64 as SSE has them: bit patterns in i32 and i64. */
export interface Binary {
  readonly name: 'f32' | 'f64';
  readonly type: 'i32' | 'i64';
  readonly control: number;
  readonly unpack: Subroutine;
  readonly pack: Subroutine;
  /** Bits of precision. */
  readonly precision: number;
  /** The sign bit; the least positive normal number; infinity. */
  readonly sign: bigint;
  readonly leastNormal: bigint;
  readonly infinity: bigint;
}
export const BINARY32: Binary = {
  name: 'f32',
  type: 'i32',
  control: Format.BINARY32,
  unpack: unpack32,
  pack: pack32,
  precision: 24,
  sign: 1n << 31n,
  leastNormal: 1n << 23n,
  infinity: 0x7f80_0000n,
};
export const BINARY64: Binary = {
  name: 'f64',
  type: 'i64',
  control: Format.BINARY64,
  unpack: unpack64,
  pack: pack64,
  precision: 53,
  sign: 1n << 63n,
  leastNormal: 1n << 52n,
  infinity: 0x7ff0_0000_0000_0000n,
};

/** A constant of the format's bit patterns. */
export const constant = (format: Binary, n: bigint): Expr => (format.type === 'i32' ? i32(Number(BigInt.asIntN(32, n))) : i64(n));
/** The bits but for the sign. */
export const magnitude = (format: Binary, x: Expr): Expr => and(x, constant(format, format.sign - 1n));
