import { add, and, type Expr, eq, extendU, geU, i32, i64, type Local, or, select, shl, shrU, wrap } from '@minusone/wasm';
import { type Subroutine, subroutine } from '../semantics/subroutine.ts';
import { Kind, readSlot, Slot, type Unpacked } from './scratch.ts';

/** The result slot put together. The number has been rounded to the format. */

/** The exponent field: 0 for zeros and denormals, all ones for infinities and NaNs. */
function exponentField(number: Unpacked, bias: number): Expr {
  const isNormal = and(eq(number.kind, i32(Kind.FINITE)), wrap(shrU(number.significand, i64(63))));
  const finite = select(isNormal, add(number.exponent, i32(bias)), i32(0));
  return select(geU(number.kind, i32(Kind.INFINITY)), i32(2 * bias + 1), finite);
}

/** The significand, which has none but its integer bit where the number is infinite, and none at all where it is zero. */
function significandOf(number: Unpacked): Expr {
  const special = select(eq(number.kind, i32(Kind.INFINITY)), i64(1n << 63n), i64(0));
  return select(or(eq(number.kind, i32(Kind.INFINITY)), eq(number.kind, i32(Kind.ZERO))), special, number.significand);
}

/** (cpu) -> the result as binary32. */
export const pack32: Subroutine = subroutine('softfloat.pack32', { params: ['i32'], results: ['i32'] }, (f) => {
  const number = readSlot(f, f.params[0] as Expr, Slot.R);
  const fraction = and(wrap(shrU(significandOf(number), i64(40))), i32(0x7f_ffff));
  f.return(or(or(shl(number.sign, i32(31)), shl(exponentField(number, 127), i32(23))), fraction));
});

/** (cpu) -> the result as binary64. */
export const pack64: Subroutine = subroutine('softfloat.pack64', { params: ['i32'], results: ['i64'] }, (f) => {
  const number = readSlot(f, f.params[0] as Expr, Slot.R);
  const fraction = and(shrU(significandOf(number), i64(11)), i64((1n << 52n) - 1n));
  const signExponent = or(shl(number.sign, i32(11)), exponentField(number, 1023));
  f.return(or(shl(extendU(signExponent), i64(52)), fraction));
});

/** (cpu, address): stores the result as the x87's format: significand at 0, sign and exponent at 8. */
export const pack80: Subroutine = subroutine('softfloat.pack80', { params: ['i32', 'i32'], results: [] }, (f) => {
  const [cpu, address] = f.params as [Local, Local];
  const number = readSlot(f, cpu, Slot.R);
  f.store(address, significandOf(number));
  f.store(address, or(shl(number.sign, i32(15)), exponentField(number, 16383)), { offset: 8, bytes: 2 });
});
