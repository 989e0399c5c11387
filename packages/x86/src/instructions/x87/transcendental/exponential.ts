import { add, eq, eqz, geS, i32, i64, type Local, ne, or, select, sub } from '@minusone/wasm';
import { type Subroutine, subroutine } from '../../../semantics/subroutine.ts';
import { normalizeAndRound } from '../../../softfloat/add.ts';
import { Flag } from '../../../softfloat/flags.ts';
import { round } from '../../../softfloat/round.ts';
import { Kind, readSlot, Slot } from '../../../softfloat/scratch.ts';
import { denormalFlag, returnNanOfOne, writeSpecial } from '../../../softfloat/special.ts';
import { multiplyHalf, multiplyWide, polynomial, shiftRight, wide } from '../../../softfloat/wide.ts';
import { coefficients, factorial, LN2 } from './constants.ts';

/** (e^y - 1) / y = 1 + y / 2! + y^2 / 3! ...: up to y = ln 2, what is left out is below 2^-96. */
const SERIES = coefficients(25, (k) => factorial(k + 1));

/** (cpu, control) -> flags: R = 2^A - 1, for -1 <= A <= 1. Beyond that the manual leaves the result undefined; it is A. PE even of 1 and -1. */
export const exponentialMinusOne: Subroutine = subroutine(
  'x87.exponentialMinusOne',
  { params: ['i32', 'i32'], results: ['i32'] },
  (f, link) => {
    const [cpu, control] = f.params as [Local, Local];
    const a = readSlot(f, cpu, Slot.A);
    returnNanOfOne(f, cpu, a);
    f.if(eq(a.kind, i32(Kind.ZERO)), () => {
      writeSpecial(f, cpu, i32(Kind.ZERO), a.sign);
      f.return(i32(0));
    });
    const _exactly = (sign: Local | typeof a.sign, exponent: typeof a.exponent, significand: typeof a.significand): void => {
      f.return(f.call(link(round), cpu, control, sign, exponent, significand, i64(0)));
    };
    f.if(eq(a.kind, i32(Kind.INFINITY)), () => {
      f.if(a.sign, () => f.return(f.call(link(round), cpu, control, i32(1), i32(0), i64(1n << 63n), i64(0))));
      writeSpecial(f, cpu, i32(Kind.INFINITY), i32(0));
      f.return(i32(0));
    });
    f.if(geS(a.exponent, i32(0)), () => {
      const isOne = eqz(or(a.exponent, ne(a.significand, i64(1n << 63n))));
      const exponent = select(isOne, sub(i32(0), a.sign), a.exponent); // 2^1 - 1 = 1, 2^-1 - 1 = -1/2
      f.return(or(i32(Flag.PE), f.call(link(round), cpu, control, a.sign, exponent, a.significand, i64(0))));
    });
    const scaled = multiplyWide(f, link, cpu, { high: a.significand, low: i64(0) }, wide(LN2));
    const y = shiftRight(f, scaled, sub(i32(0), a.exponent));
    const ratio = polynomial(f, link, cpu, y, SERIES, a.sign);
    const result = multiplyHalf(f, link, cpu, scaled, ratio);
    const flags = f.call(link(normalizeAndRound), cpu, control, a.sign, add(a.exponent, i32(1)), result.high, or(result.low, i64(1)));
    f.return(or(denormalFlag(f, a), flags));
  },
);
