import {
  add,
  and,
  type Expr,
  eq,
  eqz,
  geS,
  geU,
  gtU,
  i32,
  i64,
  type Local,
  ltS,
  or,
  select,
  shl,
  shrU,
  sub,
  wrap,
  xor,
} from '@minusone/wasm';
import { type Subroutine, subroutine } from '../semantics/subroutine.ts';
import { normalizeAndRound } from './add.ts';
import { Kind, Place, readSlot, Slot, writePlace } from './scratch.ts';
import { denormalFlag, returnInvalid, returnNanOfTwo, writeSpecial } from './special.ts';

/** Place.EXTRA after `remainder`: the low bits of the quotient, or this where the reduction is not complete, or that where there is no quotient. */
export const INCOMPLETE = 8;
export const NO_QUOTIENT = 16;

/**
 * (cpu, control, nearest) -> flags: R = A - B * quotient, exactly, where the quotient is A / B truncated (FPREM) or, with `nearest`, rounded to the nearest even (FPREM1,
 * IEEE 754's remainder). Exponents that differ by 64 or more are brought nearer by 32 to 63 only (SDM Vol. 2A, FPREM): R is then a partial remainder.
 */
export const remainder: Subroutine = subroutine('softfloat.remainder', { params: ['i32', 'i32', 'i32'], results: ['i32'] }, (f, link) => {
  const [cpu, control, nearest] = f.params as [Local, Local, Local];
  writePlace(f, cpu, Place.EXTRA, i32(NO_QUOTIENT));
  returnNanOfTwo(f, link, cpu, control);
  const a = readSlot(f, cpu, Slot.A);
  const b = readSlot(f, cpu, Slot.B);
  const denormal = denormalFlag(f, a, b);
  f.if(or(eq(a.kind, i32(Kind.INFINITY)), eq(b.kind, i32(Kind.ZERO))), () => returnInvalid(f, cpu));
  writePlace(f, cpu, Place.EXTRA, i32(0));
  f.if(eq(a.kind, i32(Kind.ZERO)), () => {
    writeSpecial(f, cpu, i32(Kind.ZERO), a.sign);
    f.return(denormal);
  });
  const difference = f.let(sub(a.exponent, b.exponent));
  const isSmall = or(eq(b.kind, i32(Kind.INFINITY)), ltS(difference, sub(i32(0), nearest)));
  const finish = (sign: Expr, exponent: Expr, significand: Expr): void => {
    f.return(or(denormal, f.call(link(normalizeAndRound), cpu, control, sign, exponent, significand, i64(0))));
  };
  f.if(isSmall, () => finish(a.sign, a.exponent, a.significand));
  // With `nearest`, A may be between a quarter of B and B: at most one half is kept as it is.
  f.if(ltS(difference, i32(0)), () => {
    f.if(gtU(a.significand, b.significand), () => {
      writePlace(f, cpu, Place.EXTRA, i32(1));
      finish(xor(a.sign, i32(1)), a.exponent, sub(shl(b.significand, i64(1)), a.significand));
    });
    finish(a.sign, a.exponent, a.significand);
  });
  const isPartial = f.let(geS(difference, i32(64)));
  const steps = f.local('i32');
  const rest = f.local('i64');
  const quotient = f.local('i32');
  f.set(steps, select(isPartial, or(and(difference, i32(31)), i32(32)), difference));
  const exponent = f.let(sub(a.exponent, steps));
  f.set(rest, a.significand);
  f.if(geU(rest, b.significand), () => {
    f.set(rest, sub(rest, b.significand));
    f.set(quotient, i32(1));
  });
  f.block((done) => {
    f.loop((again) => {
      f.brIf(done, eqz(steps));
      const carry = f.let(wrap(shrU(rest, i64(63))));
      f.set(rest, shl(rest, i64(1)));
      f.set(quotient, shl(quotient, i32(1)));
      f.if(or(carry, geU(rest, b.significand)), () => {
        f.set(rest, sub(rest, b.significand));
        f.set(quotient, add(quotient, i32(1)));
      });
      f.set(steps, sub(steps, i32(1)));
      f.br(again);
    });
  });
  const sign = f.local('i32');
  f.set(sign, a.sign);
  f.if(and(nearest, eqz(isPartial)), () => {
    const other = f.let(sub(b.significand, rest));
    f.if(or(gtU(rest, other), and(eq(rest, other), and(quotient, i32(1)))), () => {
      f.set(rest, other);
      f.set(sign, xor(sign, i32(1)));
      f.set(quotient, add(quotient, i32(1)));
    });
  });
  writePlace(f, cpu, Place.EXTRA, select(isPartial, i32(INCOMPLETE), and(quotient, i32(7))));
  f.if(eqz(rest), () => {
    writeSpecial(f, cpu, i32(Kind.ZERO), a.sign);
    f.return(denormal);
  });
  finish(sign, exponent, rest);
});
