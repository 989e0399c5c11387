import {
  add,
  and,
  type Expr,
  eq,
  eqz,
  extendU,
  type FunctionBuilder,
  geS,
  gtS,
  gtU,
  i32,
  i64,
  type Local,
  ltS,
  ltU,
  ne,
  or,
  select,
  shl,
  shrU,
  sub,
} from '@minusone/wasm';
import { type Subroutine, subroutine } from '../semantics/subroutine.ts';
import { Control } from './control.ts';
import { Flag } from './flags.ts';
import { Kind, Place, Slot, writePlace, writeSlot } from './scratch.ts';

const HALF = 1n << 63n;
/** What the exponent of a result is moved by where overflow or underflow is unmasked (SDM Vol. 1, 8.5.4 and 8.5.5). */
const BIAS_ADJUST = 24576;

/** Whether rounding goes away from zero: `low` is what follows the last bit kept, as a fraction of it (half is 2^63); `odd` is that bit. */
export function roundsUp(rc: Expr, sign: Expr, odd: Expr, low: Expr): Expr {
  const nearest = or(gtU(low, i64(HALF)), and(eq(low, i64(HALF)), odd));
  // Down (1) goes away from zero below it, up (2) above it, zero (3) never.
  const directed = and(ne(low, i64(0)), eq(rc, sub(i32(2), sign)));
  return select(eqz(rc), nearest, directed);
}

/** 1 where an i64 is not zero, as i64: for sticky bits. */
export const sticky = (x: Expr): Expr => extendU(ne(x, i64(0)));

/** Cuts significand:low to the precision and rounds. */
function roundAt(
  f: FunctionBuilder,
  rc: Expr,
  shift: Expr,
  sign: Expr,
  significand: Expr,
  low: Expr,
): Record<'kept' | 'carry' | 'inexact' | 'up', Expr> {
  const isWhole = eqz(shift);
  const below = f.let(select(isWhole, low, or(shl(significand, sub(i64(64), shift)), sticky(low))));
  const unit = f.let(shl(i64(1), shift));
  const cut = f.let(and(significand, sub(i64(0), unit)));
  const odd = ne(and(cut, unit), i64(0));
  const up = f.let(roundsUp(rc, sign, odd, below));
  const kept = f.let(add(cut, select(up, unit, i64(0))));
  return { kept, up, carry: f.let(ltU(kept, cut)), inexact: f.let(ne(below, i64(0))) };
}

/**
 * (cpu, control, sign, exponent, significand, low) -> flags. Rounds significand:low (128 bits, the top bit set; the lowest bits may be sticky) * 2^(exponent - 63) to the
 * control's precision and range, into the result slot, as SDM Vol. 1, 4.9.1.4 to 4.9.1.6 and 8.5.4 to 8.5.6 say: tiny is what is below the least normal number after rounding with an unbounded
 * exponent; masked underflow is reported where the denormal is also inexact, unmasked underflow whenever the result is tiny, with the exponent adjusted.
 */
export const round: Subroutine = subroutine(
  'softfloat.round',
  { params: ['i32', 'i32', 'i32', 'i32', 'i64', 'i64'], results: ['i32'] },
  (f) => {
    const [cpu, control, sign, exponent, significand, low] = f.params as [Local, Local, Local, Local, Local, Local];
    const rc = f.let(and(control, i32(Control.RC_MASK)));
    const shift = f.let(extendU(sub(i32(64), and(shrU(control, i32(16)), i32(0xff)))));
    const range = f.let(and(shrU(control, i32(8)), i32(3)));
    const greatest = f.let(select(eqz(range), i32(16383), select(eq(range, i32(1)), i32(127), i32(1023))));
    const least = f.let(sub(i32(1), greatest));
    const rounded = roundAt(f, rc, shift, sign, significand, low);
    const exponentRounded = f.let(add(exponent, rounded.carry));
    const isTiny = f.let(ltS(exponentRounded, least));
    const isHuge = f.let(gtS(exponentRounded, greatest));

    f.if(and(isTiny, ne(and(control, i32(Control.UM)), i32(0))), () => {
      f.if(and(control, i32(Control.FTZ)), () => {
        writeSlot(f, cpu, Slot.R, { sign, kind: i32(Kind.ZERO) });
        writePlace(f, cpu, Place.ROUNDED_UP, i32(0));
        f.return(i32(Flag.UE | Flag.PE));
      });
      const by = f.let(sub(least, exponent));
      const by64 = f.let(extendU(by));
      const isFar = f.let(geS(by, i32(64)));
      const shifted = f.let(select(isFar, i64(0), shrU(significand, by64)));
      // From 65 on, all that is left is less than half of the last bit.
      const near = or(shl(significand, sub(i64(0), by64)), sticky(low));
      const fraction = f.let(select(gtS(by, i32(64)), i64(1), near));
      const denormal = roundAt(f, rc, shift, sign, shifted, fraction);
      const kind = select(eqz(denormal.kept), i32(Kind.ZERO), i32(Kind.FINITE));
      writeSlot(f, cpu, Slot.R, { significand: denormal.kept, exponent: least, sign, kind });
      writePlace(f, cpu, Place.ROUNDED_UP, denormal.up);
      f.return(select(denormal.inexact, i32(Flag.UE | Flag.PE), i32(0)));
    });

    f.if(and(isHuge, ne(and(control, i32(Control.OM)), i32(0))), () => {
      const toInfinity = f.let(or(eqz(rc), eq(rc, sub(i32(2), sign))));
      writeSlot(f, cpu, Slot.R, {
        significand: sub(i64(0), shl(i64(1), shift)),
        exponent: greatest,
        sign,
        kind: select(toInfinity, i32(Kind.INFINITY), i32(Kind.FINITE)),
      });
      writePlace(f, cpu, Place.ROUNDED_UP, toInfinity);
      f.return(i32(Flag.OE | Flag.PE));
    });

    const adjust = select(isTiny, i32(BIAS_ADJUST), select(isHuge, i32(-BIAS_ADJUST), i32(0)));
    const adjusted = f.let(add(exponentRounded, adjust));
    // FSCALE can go so far that the adjusted exponent does not fit: zero or infinity then (SDM Vol. 2A, FSCALE).
    f.if(and(eqz(range), or(ltS(adjusted, least), gtS(adjusted, greatest))), () => {
      writeSlot(f, cpu, Slot.R, { sign, kind: select(isTiny, i32(Kind.ZERO), i32(Kind.INFINITY)) });
      writePlace(f, cpu, Place.ROUNDED_UP, isHuge);
      f.return(select(isTiny, i32(Flag.UE | Flag.PE), i32(Flag.OE | Flag.PE)));
    });
    writeSlot(f, cpu, Slot.R, {
      significand: select(rounded.carry, i64(HALF), rounded.kept),
      exponent: adjusted,
      sign,
      kind: i32(Kind.FINITE),
    });
    writePlace(f, cpu, Place.ROUNDED_UP, rounded.up);
    const inexact = select(rounded.inexact, i32(Flag.PE), i32(0));
    f.return(or(inexact, select(isTiny, i32(Flag.UE), select(isHuge, i32(Flag.OE), i32(0)))));
  },
);
