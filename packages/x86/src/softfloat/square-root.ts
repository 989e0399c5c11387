import { and, type Expr, eq, geU, gtU, i32, i64, type Local, ltU, ne, or, select, shl, shrS, shrU, sub, wrap } from '@minusone/wasm';
import { type Subroutine, subroutine } from '../semantics/subroutine.ts';
import { round } from './round.ts';
import { Kind, readSlot, Slot } from './scratch.ts';
import { denormalFlag, returnInvalid, returnNanOfOne, writeSpecial } from './special.ts';

/** The two top bits of an i64, as i32. */
const wrapTop = (x: Expr): Expr => wrap(shrU(x, i64(62)));

/** (cpu, control) -> flags: R = the square root of A. */
export const squareRoot: Subroutine = subroutine('softfloat.squareRoot', { params: ['i32', 'i32'], results: ['i32'] }, (f, link) => {
  const [cpu, control] = f.params as [Local, Local];
  const a = readSlot(f, cpu, Slot.A);
  returnNanOfOne(f, cpu, a);
  f.if(eq(a.kind, i32(Kind.ZERO)), () => {
    writeSpecial(f, cpu, i32(Kind.ZERO), a.sign);
    f.return(i32(0));
  });
  f.if(a.sign, () => returnInvalid(f, cpu));
  f.if(eq(a.kind, i32(Kind.INFINITY)), () => {
    writeSpecial(f, cpu, i32(Kind.INFINITY), i32(0));
    f.return(i32(0));
  });
  // The root of N = significand * 2^63 (even exponent) or * 2^64, by one bit of the root a step, two bits of N at a time. All of N's low half but
  // its top bit is zero, so that the bits taken come from `rest`.
  const isOdd = f.let(and(a.exponent, i32(1)));
  const rest = f.local('i64');
  const root = f.local('i64');
  const remainder = f.local('i64');
  const remainderHigh = f.local('i32');
  const steps = f.local('i32');
  const next = f.local('i64');
  f.set(rest, select(isOdd, a.significand, shrU(a.significand, i64(1))));
  const lastBit = f.let(select(isOdd, i64(0), shl(a.significand, i64(63))));
  f.set(steps, i32(64));
  f.loop((again) => {
    // remainder = remainder * 4 + two bits of N; it needs up to 66 bits.
    f.set(remainderHigh, or(shl(remainderHigh, i32(2)), wrapTop(remainder)));
    f.set(remainder, or(shl(remainder, i64(2)), shrU(rest, i64(62))));
    f.set(rest, or(shl(rest, i64(2)), select(eq(steps, i32(33)), lastBit, i64(0))));
    // Try the bit: 4 * root + 1, which needs up to 66 bits as well.
    const trial = or(shl(root, i64(2)), i64(1));
    const trialHigh = wrapTop(root);
    const fits = or(gtU(remainderHigh, trialHigh), and(eq(remainderHigh, trialHigh), geU(remainder, trial)));
    f.set(next, shl(root, i64(1)));
    f.if(fits, () => {
      f.set(remainderHigh, sub(sub(remainderHigh, trialHigh), ltU(remainder, trial)));
      f.set(remainder, sub(remainder, trial));
      f.set(next, or(next, i64(1)));
    });
    f.set(root, next);
    f.set(steps, sub(steps, i32(1)));
    f.brIf(again, steps);
  });
  // (root + 1/2)^2 = root^2 + root + 1/4: the rest is never half.
  const isAbove = or(ne(remainderHigh, i32(0)), gtU(remainder, root));
  const inexact = or(ne(remainderHigh, i32(0)), ne(remainder, i64(0)));
  const fraction = or(select(isAbove, i64(1n << 63n), i64(0)), select(inexact, i64(1), i64(0)));
  const exponent = shrS(a.exponent, i32(1));
  f.return(or(denormalFlag(f, a), f.call(link(round), cpu, control, i32(0), exponent, root, fraction)));
});
