import {
  add,
  and,
  type Expr,
  eq,
  eqz,
  extendU,
  type FunctionBuilder,
  gtS,
  i32,
  i64,
  type Local,
  ltU,
  ne,
  or,
  select,
  shl,
  shrU,
  sub,
  wrap,
} from '@minusone/wasm';
import { type Subroutine, subroutine } from '../../../semantics/subroutine.ts';
import { normalizeAndRound } from '../../../softfloat/add.ts';
import { Kind, readSlot, Slot } from '../../../softfloat/scratch.ts';
import { denormalFlag, returnNanOfTwo, writeSpecial } from '../../../softfloat/special.ts';
import {
  addWide,
  divideWide,
  isLess,
  multiplyHalf,
  multiplyWide,
  polynomial,
  selectWide,
  setWide,
  shiftRight,
  subtractWide,
  type Wide,
  wide,
  wideLocal,
} from '../../../softfloat/wide.ts';
import { ARCTAN_EIGHTHS, coefficients, HALF_PI, QUARTER_PI } from './constants.ts';

/** arctan(z) / z = 1 - z^2 / 3 + z^4 / 5 ...: for z up to 1/16 what is left out is below 2^-100. */
const SERIES = coefficients(13, (k) => BigInt(2 * k + 1));

/** One of nine constants. */
function pick(f: FunctionBuilder, index: Expr, of: (k: number) => bigint): Wide {
  const chosen = wideLocal(f);
  for (let k = 0; k <= 8; k++) f.if(eq(index, i32(k)), () => setWide(f, chosen, wide(of(k))));
  return chosen;
}

/** (cpu, control) -> flags: R = arctan(B / A) in the quadrant of the point (A, B): SDM Vol. 2A, FPATAN, Table "FPATAN Results". */
export const arctangent: Subroutine = subroutine('x87.arctangent', { params: ['i32', 'i32'], results: ['i32'] }, (f, link) => {
  const [cpu, control] = f.params as [Local, Local];
  returnNanOfTwo(f, link, cpu, control);
  const x = readSlot(f, cpu, Slot.A);
  const y = readSlot(f, cpu, Slot.B);
  const denormal = denormalFlag(f, x, y);
  /** Leaves with an angle, a floating-point Wide that is never exact, with the sign of y. */
  const finish = (angle: Wide, exponent: Expr): void => {
    f.return(or(denormal, f.call(link(normalizeAndRound), cpu, control, y.sign, exponent, angle.high, or(angle.low, i64(1)))));
  };
  const finishConstant = (angle: bigint, exponent = 0): void => finish(wide(angle), i32(exponent));
  f.if(eq(y.kind, i32(Kind.INFINITY)), () => {
    f.if(eq(x.kind, i32(Kind.INFINITY)), () => {
      f.if(x.sign, () => finishConstant(HALF_PI / 2n + QUARTER_PI / 2n, 1));
      finishConstant(QUARTER_PI);
    });
    finishConstant(HALF_PI);
  });
  f.if(or(eq(x.kind, i32(Kind.INFINITY)), eq(y.kind, i32(Kind.ZERO))), () => {
    f.if(x.sign, () => finishConstant(HALF_PI, 1));
    writeSpecial(f, cpu, i32(Kind.ZERO), y.sign);
    f.return(denormal);
  });
  f.if(eq(x.kind, i32(Kind.ZERO)), () => finishConstant(HALF_PI));

  // t = the lesser of |x| and |y| by the greater.
  const sameExponent = eq(y.exponent, x.exponent);
  const isSteep = f.let(or(gtS(y.exponent, x.exponent), and(sameExponent, ltU(x.significand, y.significand))));
  const lesser: Wide = { high: f.let(select(isSteep, x.significand, y.significand)), low: i64(0) };
  const greater: Wide = { high: f.let(select(isSteep, y.significand, x.significand)), low: i64(0) };
  const difference = sub(x.exponent, y.exponent);
  const distance = f.let(select(isSteep, sub(i32(0), difference), difference));
  const ratio = divideWide(f, link, cpu, lesser, greater); // t * 2^distance
  const t = shiftRight(f, ratio, distance);
  // The nearest eighth c, and z with arctan(t) = arctan(c) + arctan(z): z = (t - c) / (1 + t c).
  const eighths = f.let(wrap(shrU(add(t.high, i64(1n << 59n)), i64(60))));
  const c: Wide = { high: f.let(shl(extendU(eighths), i64(60))), low: i64(0) };
  const isBelow = f.let(isLess(t, c));
  const distanceToC = selectWide(f, isBelow, subtractWide(f, c, t), subtractWide(f, t, c));
  const halfProduct = multiplyHalf(f, link, cpu, t, c);
  const halfDenominator = addWide(f, wide(1n << 126n), halfProduct);
  const z = divideWide(f, link, cpu, shiftRight(f, distanceToC, i32(1)), halfDenominator);
  const series = polynomial(f, link, cpu, multiplyWide(f, link, cpu, z, z), SERIES, i32(1));
  const small = multiplyHalf(f, link, cpu, ratio, series); // arctan(t) where c is 0, with the exponent 1 - distance
  f.if(eqz(or(or(eighths, isSteep), x.sign)), () => finish(small, sub(i32(1), distance)));
  // From here on angles are halved, so that pi fits: half of arctan(t) first.
  const correction = multiplyHalf(f, link, cpu, z, series);
  const halfOfC = pick(f, eighths, (k) => (ARCTAN_EIGHTHS[k] as bigint) / 2n);
  const around = selectWide(f, isBelow, subtractWide(f, halfOfC, correction), addWide(f, halfOfC, correction));
  const angle = selectWide(f, ne(eighths, i32(0)), around, shiftRight(f, small, distance));
  const quarterTurn = wide(HALF_PI / 2n);
  const halfTurn = wide(HALF_PI);
  const steep = selectWide(f, x.sign, addWide(f, quarterTurn, angle), subtractWide(f, quarterTurn, angle));
  const flat = selectWide(f, x.sign, subtractWide(f, halfTurn, angle), angle);
  const result = selectWide(f, isSteep, steep, flat);
  finish(result, i32(1));
});
