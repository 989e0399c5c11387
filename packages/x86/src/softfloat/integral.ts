import {
  add,
  and,
  clz,
  type Expr,
  eq,
  extendU,
  type FunctionBuilder,
  geS,
  geU,
  gtS,
  i32,
  i64,
  type Local,
  ne,
  or,
  select,
  shl,
  shrU,
  sub,
  wrap,
} from '@minusone/wasm';
import { type Subroutine, subroutine } from '../semantics/subroutine.ts';
import { Control } from './control.ts';
import { Flag } from './flags.ts';
import { roundsUp } from './round.ts';
import { Kind, Place, readSlot, Slot, type Unpacked, writePlace, writeSlot } from './scratch.ts';
import { returnNanOfOne, writeSpecial } from './special.ts';

/** The magnitude of a finite number with an exponent below 63, rounded to an integer: below 2^63. */
function magnitudeOf(f: FunctionBuilder, rc: Expr, a: Unpacked): { magnitude: Expr; up: Expr; inexact: Expr } {
  const fractionBits = f.let(sub(i32(63), a.exponent)); // 1 or more
  const by = f.let(extendU(fractionBits));
  const cut = f.let(select(geS(fractionBits, i32(64)), i64(0), shrU(a.significand, by)));
  // Beyond 64, what is left is less than half.
  const below = f.let(select(gtS(fractionBits, i32(64)), i64(1), shl(a.significand, sub(i64(0), by))));
  const up = f.let(roundsUp(rc, a.sign, wrap(and(cut, i64(1))), below));
  return { magnitude: f.let(add(cut, extendU(up))), up, inexact: f.let(ne(below, i64(0))) };
}

/** (cpu, control) -> flags: R = A rounded to an integer in floating point. Of the control, only RC counts. No DE. */
export const roundToIntegral: Subroutine = subroutine('softfloat.roundToIntegral', { params: ['i32', 'i32'], results: ['i32'] }, (f) => {
  const [cpu, control] = f.params as [Local, Local];
  const a = readSlot(f, cpu, Slot.A);
  returnNanOfOne(f, cpu, a);
  f.if(or(ne(a.kind, i32(Kind.FINITE)), geS(a.exponent, i32(63))), () => {
    writeSlot(f, cpu, Slot.R, a);
    writePlace(f, cpu, Place.ROUNDED_UP, i32(0));
    f.return(i32(0));
  });
  const { magnitude, up, inexact } = magnitudeOf(f, and(control, i32(Control.RC_MASK)), a);
  f.if(
    ne(magnitude, i64(0)),
    () => {
      const leading = f.let(clz(magnitude));
      writeSlot(f, cpu, Slot.R, {
        significand: shl(magnitude, leading),
        exponent: sub(i32(63), wrap(leading)),
        sign: a.sign,
        kind: i32(Kind.FINITE),
      });
    },
    () => writeSpecial(f, cpu, i32(Kind.ZERO), a.sign),
  );
  writePlace(f, cpu, Place.ROUNDED_UP, up);
  f.return(select(inexact, i32(Flag.PE), i32(0)));
});

/**
 * (cpu, control, bits) -> flags: Place.EXTRA = A as a signed integer of 16, 32 or 64 bits (sign-extended to 64), rounded by RC. What does not fit, and what is no number,
 * gives IE and the integer indefinite, the least of its width (SDM Vol. 1, 4.2.1, Table 4-1 and 8.1.2). No DE.
 */
export const toInteger: Subroutine = subroutine('softfloat.toInteger', { params: ['i32', 'i32', 'i32'], results: ['i32'] }, (f) => {
  const [cpu, control, bits] = f.params as [Local, Local, Local];
  const a = readSlot(f, cpu, Slot.A);
  const limit = f.let(shl(i64(1), extendU(sub(bits, i32(1)))));
  const indefinite = (): void => {
    writePlace(f, cpu, Place.EXTRA, sub(i64(0), limit));
    writePlace(f, cpu, Place.ROUNDED_UP, i32(0));
    f.return(i32(Flag.IE));
  };
  f.if(eq(a.kind, i32(Kind.ZERO)), () => {
    writePlace(f, cpu, Place.EXTRA, i64(0));
    writePlace(f, cpu, Place.ROUNDED_UP, i32(0));
    f.return(i32(0));
  });
  f.if(geU(a.kind, i32(Kind.INFINITY)), indefinite);
  f.if(geS(a.exponent, i32(63)), () => {
    // Of these only -2^63 is an integer of 64 bits.
    const isLeast = and(and(eq(a.exponent, i32(63)), a.sign), eq(a.significand, i64(1n << 63n)));
    f.if(and(isLeast, eq(bits, i32(64))), () => {
      writePlace(f, cpu, Place.EXTRA, i64(1n << 63n));
      writePlace(f, cpu, Place.ROUNDED_UP, i32(0));
      f.return(i32(0));
    });
    indefinite();
  });
  const { magnitude, up, inexact } = magnitudeOf(f, and(control, i32(Control.RC_MASK)), a);
  // The magnitude may be the limit where the sign is minus. Rounding may give 2^63 itself, so unsigned.
  f.if(geU(magnitude, add(limit, extendU(a.sign))), indefinite);
  writePlace(f, cpu, Place.EXTRA, select(a.sign, sub(i64(0), magnitude), magnitude));
  writePlace(f, cpu, Place.ROUNDED_UP, up);
  f.return(select(inexact, i32(Flag.PE), i32(0)));
});
