import {
  add,
  and,
  clz,
  eq,
  eqz,
  extendU,
  geS,
  gtS,
  i32,
  i64,
  type Local,
  leU,
  ltU,
  ne,
  or,
  select,
  shl,
  shrU,
  sub,
  wrap,
  xor,
} from '@minusone/wasm';
import { type Subroutine, subroutine } from '../semantics/subroutine.ts';
import { Control } from './control.ts';
import { round, sticky } from './round.ts';
import { Kind, readSlot, Slot } from './scratch.ts';
import { denormalFlag, returnInvalid, returnNanOfTwo, writeSpecial } from './special.ts';

/** (cpu, control, sign, exponent, significand, low) -> flags: as `round`, of any significand:low but zero. */
export const normalizeAndRound: Subroutine = subroutine(
  'softfloat.normalizeAndRound',
  { params: ['i32', 'i32', 'i32', 'i32', 'i64', 'i64'], results: ['i32'] },
  (f, link) => {
    const [cpu, control, sign, exponent, significand, low] = f.params as [Local, Local, Local, Local, Local, Local];
    f.if(eqz(significand), () => {
      const n = f.let(clz(low));
      f.returnCall(link(round), cpu, control, sign, sub(sub(exponent, i32(64)), wrap(n)), shl(low, n), i64(0));
    });
    const n = f.let(clz(significand));
    const moved = select(eqz(n), i64(0), shrU(low, sub(i64(64), n)));
    f.returnCall(link(round), cpu, control, sign, sub(exponent, wrap(n)), or(shl(significand, n), moved), shl(low, n));
  },
);

/** (cpu, control, subtract) -> flags: R = A + B, or A - B where `subtract` is 1. */
export const addSubtract: Subroutine = subroutine(
  'softfloat.addSubtract',
  { params: ['i32', 'i32', 'i32'], results: ['i32'] },
  (f, link) => {
    const [cpu, control, subtract] = f.params as [Local, Local, Local];
    returnNanOfTwo(f, link, cpu, control);
    const a = readSlot(f, cpu, Slot.A);
    const b = readSlot(f, cpu, Slot.B);
    const signB = f.let(xor(b.sign, subtract));
    const denormal = denormalFlag(f, a, b);
    const differ = f.let(ne(a.sign, signB));
    f.if(eq(a.kind, i32(Kind.INFINITY)), () => {
      f.if(and(eq(b.kind, i32(Kind.INFINITY)), differ), () => returnInvalid(f, cpu));
      writeSpecial(f, cpu, i32(Kind.INFINITY), a.sign);
      f.return(denormal);
    });
    f.if(eq(b.kind, i32(Kind.INFINITY)), () => {
      writeSpecial(f, cpu, i32(Kind.INFINITY), signB);
      f.return(denormal);
    });
    /** The sign of an exact zero: SDM Vol. 1, 4.8.3.1: + unless rounding goes down. */
    const zeroSign = eq(and(control, i32(Control.RC_MASK)), i32(1));
    f.if(eq(a.kind, i32(Kind.ZERO)), () => {
      f.if(eq(b.kind, i32(Kind.ZERO)), () => {
        writeSpecial(f, cpu, i32(Kind.ZERO), select(differ, zeroSign, a.sign));
        f.return(i32(0));
      });
      f.return(or(denormal, f.call(link(round), cpu, control, signB, b.exponent, b.significand, i64(0))));
    });
    f.if(eq(b.kind, i32(Kind.ZERO)), () => {
      f.return(or(denormal, f.call(link(round), cpu, control, a.sign, a.exponent, a.significand, i64(0))));
    });

    // The one of greater magnitude first.
    const sameExponent = eq(a.exponent, b.exponent);
    const swap = f.let(or(gtS(b.exponent, a.exponent), and(sameExponent, ltU(a.significand, b.significand))));
    const sign = f.let(select(swap, signB, a.sign));
    const exponent = f.let(select(swap, b.exponent, a.exponent));
    const large = f.let(select(swap, b.significand, a.significand));
    const small = f.let(select(swap, a.significand, b.significand));
    const distance = f.let(sub(exponent, select(swap, a.exponent, b.exponent)));
    const by = f.let(extendU(distance));
    const isFar = geS(distance, i32(64));
    const high = f.let(select(isFar, i64(0), shrU(small, by)));
    // Bits below the 128th become sticky. Where the distance is 0 nothing moves down, and at 64 everything does.
    const far = or(shrU(small, by), sticky(and(small, sub(shl(i64(1), by), i64(1)))));
    const near = select(eqz(distance), i64(0), shl(small, sub(i64(0), by)));
    const low = f.let(select(geS(distance, i32(128)), i64(1), select(isFar, far, near)));
    f.if(differ, () => {
      const lowDifference = f.let(sub(i64(0), low));
      const difference = f.let(sub(sub(large, high), sticky(low)));
      f.if(eqz(or(difference, lowDifference)), () => {
        writeSpecial(f, cpu, i32(Kind.ZERO), zeroSign);
        f.return(denormal);
      });
      f.return(or(denormal, f.call(link(normalizeAndRound), cpu, control, sign, exponent, difference, lowDifference)));
    });
    const sum = f.let(add(large, high));
    f.if(leU(large, sum), () => f.return(or(denormal, f.call(link(round), cpu, control, sign, exponent, sum, low))));
    const carried = or(shrU(sum, i64(1)), i64(1n << 63n));
    const carriedLow = or(or(shl(sum, i64(63)), shrU(low, i64(1))), and(low, i64(1)));
    f.return(or(denormal, f.call(link(round), cpu, control, sign, add(exponent, i32(1)), carried, carriedLow)));
  },
);
