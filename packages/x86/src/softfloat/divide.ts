import { and, eq, geU, i32, i64, type Local, ltU, mul, ne, or, select, shl, shrU, sub, xor } from '@minusone/wasm';
import { divideUnsigned128 } from '../instructions/integer/wide-arithmetic.ts';
import { type Subroutine, subroutine } from '../semantics/subroutine.ts';
import { Flag } from './flags.ts';
import { round } from './round.ts';
import { Kind, readSlot, Slot } from './scratch.ts';
import { denormalFlag, returnInvalid, returnNanOfTwo, writeSpecial } from './special.ts';

/** (cpu, control) -> flags: R = A / B. */
export const divide: Subroutine = subroutine('softfloat.divide', { params: ['i32', 'i32'], results: ['i32'] }, (f, link) => {
  const [cpu, control] = f.params as [Local, Local];
  returnNanOfTwo(f, link, cpu, control);
  const a = readSlot(f, cpu, Slot.A);
  const b = readSlot(f, cpu, Slot.B);
  const sign = f.let(xor(a.sign, b.sign));
  const denormal = denormalFlag(f, a, b);
  f.if(and(eq(a.kind, b.kind), ne(a.kind, i32(Kind.FINITE))), () => returnInvalid(f, cpu)); // 0 / 0, infinity / infinity
  f.if(eq(a.kind, i32(Kind.INFINITY)), () => {
    writeSpecial(f, cpu, i32(Kind.INFINITY), sign);
    f.return(denormal);
  });
  f.if(or(eq(a.kind, i32(Kind.ZERO)), eq(b.kind, i32(Kind.INFINITY))), () => {
    writeSpecial(f, cpu, i32(Kind.ZERO), sign);
    f.return(denormal);
  });
  f.if(eq(b.kind, i32(Kind.ZERO)), () => {
    writeSpecial(f, cpu, i32(Kind.INFINITY), sign);
    f.return(i32(Flag.ZE)); // before DE: SDM Vol. 1, 4.9.2 "Floating-Point Exception Priority"
  });
  // A quotient of 64 bits with the top bit set: the dividend is a.significand * 2^64, or half of that where it would not fit.
  const isLess = f.let(ltU(a.significand, b.significand));
  const high = f.let(select(isLess, a.significand, shrU(a.significand, i64(1))));
  const low = f.let(select(isLess, i64(0), shl(a.significand, i64(63))));
  const quotient = f.let(f.call(link(divideUnsigned128), high, low, b.significand));
  const remainder = f.let(sub(low, mul(quotient, b.significand)));
  const toNext = f.let(sub(b.significand, remainder));
  const half = select(geU(remainder, toNext), i64(1n << 63n), i64(0));
  const beyond = and(ne(remainder, i64(0)), ne(remainder, toNext));
  const fraction = or(half, select(beyond, i64(1), i64(0)));
  f.return(or(denormal, f.call(link(round), cpu, control, sign, sub(sub(a.exponent, b.exponent), isLess), quotient, fraction)));
});
