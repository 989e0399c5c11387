import {
  add,
  and,
  ctz,
  type Expr,
  eq,
  eqz,
  type FunctionBuilder,
  f32,
  f64,
  ge,
  geU,
  gtU,
  i32,
  lt,
  ltU,
  mul,
  or,
  reinterpret,
  sub,
  wrap,
} from '@minusone/wasm';
import { type Binary, constant, magnitude } from './binary.ts';

/**
 * The fast paths: where a Wasm instruction gives the very result, and no exception flag would change. Wasm rounds to nearest; that is right where MXCSR says so and PE is
 * masked and set already, or where the result is exact. Everything else is the core's.
 */

/** RC is nearest, and PE is masked and set. */
export const ignoresRounding = (mxcsr: Expr): Expr => eq(and(mxcsr, i32(0x7020)), i32(0x1020));
/** PE is masked and set, whatever RC says. */
export const ignoresInexact = (mxcsr: Expr): Expr => eq(and(mxcsr, i32(0x1020)), i32(0x1020));

/** A denormal number: DE, or zero where DAZ is 1. */
export const isDenormal = (format: Binary, x: Expr): Expr =>
  ltU(sub(magnitude(format, x), constant(format, 1n)), constant(format, format.leastNormal - 1n));
/** A NaN. */
export const isNan = (format: Binary, x: Expr): Expr => gtU(magnitude(format, x), constant(format, format.infinity));
/** Zero, normal or infinite: nothing that an exception is raised for by being an operand. */
export const isPlain = (format: Binary, x: Expr): Expr => eqz(or(isDenormal(format, x), isNan(format, x)));

/** Normal and not among the least, since a result that only rounds up to one of them is tiny. A normal result also says that no operand is a NaN. */
export function isSafeResult(format: Binary, result: Expr): Expr {
  const from = 2n * format.leastNormal;
  return ltU(sub(magnitude(format, result), constant(format, from)), constant(format, format.infinity - from));
}

/** Zero bits at the end of the significand of a normal number. */
const trailingZeros = (format: Binary, x: Expr): Expr => wrap(ctz(or(x, constant(format, format.leastNormal))));
/** Whether two normal numbers have so few significant bits that their product is exact. */
const productIsExact = (format: Binary, a: Expr, b: Expr): Expr =>
  geU(add(trailingZeros(format, a), trailingZeros(format, b)), i32(format.precision));

/** Whether result = a op b, as the Wasm instruction gave it, is exact. Bit patterns; all are normal or zero. A "no" may be wrong. */
export type Exactness = (format: Binary, result: Expr, a: Expr, b: Expr) => Expr;

const float = (x: Expr): Expr => reinterpret(x);

/** The error of a sum is itself a number, and this is it (Knuth, TAOCP Vol. 2, 4.2.2, theorem B). */
export const sumIsExact: Exactness = (_format, result, a, b) => {
  const bPart = sub(float(result), float(a));
  const error = add(sub(float(a), sub(float(result), bPart)), sub(float(b), bPart));
  return eq(error, _format.type === 'i32' ? f32(0) : f64(0));
};
export const differenceIsExact: Exactness = (format, result, a, b) => {
  const bPart = sub(float(a), float(result)); // what has been subtracted
  const error = add(sub(float(a), add(float(result), bPart)), sub(bPart, float(b)));
  return eq(error, format.type === 'i32' ? f32(0) : f64(0));
};
export const productExact: Exactness = (format, _result, a, b) => productIsExact(format, a, b);
export const quotientIsExact: Exactness = (format, result, a, b) =>
  and(productIsExact(format, result, b), eq(mul(float(result), float(b)), float(a)));
export const rootIsExact: Exactness = (format, result, a) =>
  and(productIsExact(format, result, result), eq(mul(float(result), float(result)), float(a)));

/** Leaves with the Wasm instruction's result, where that is all there is to do. */
export function returnNative(
  f: FunctionBuilder,
  format: Binary,
  mxcsr: Expr,
  operands: readonly Expr[],
  native: (...floats: Expr[]) => Expr,
  isExact: Exactness,
): void {
  const result = f.let(reinterpret(native(...operands.map(float))));
  const noDenormal = eqz(operands.map((x) => isDenormal(format, x)).reduce((a, b) => or(a, b)));
  f.if(and(isSafeResult(format, result), noDenormal), () => {
    f.if(ignoresRounding(mxcsr), () => f.return(result));
    f.if(isExact(format, result, operands[0] as Expr, operands.at(-1) as Expr), () => f.return(result));
  });
}

/** Whether a float lies in the range of signed integers of `bits`; false for a NaN. The least integer itself counts, what is below it does not. */
export function isInIntegerRange(format: Binary, x: Expr, bits: 32 | 64): Expr {
  const limit = 2 ** (bits - 1);
  const of = format.type === 'i32' ? f32 : f64;
  return and(ge(float(x), of(-limit)), lt(float(x), of(limit)));
}
