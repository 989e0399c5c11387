import { add, and, eq, i32, i64, type Local, ltS, mul, or, select, shl, shrU, sub, xor } from '@minusone/wasm';
import { multiplyHighUnsigned } from '../instructions/integer/wide-arithmetic.ts';
import { type Subroutine, subroutine } from '../semantics/subroutine.ts';
import { round } from './round.ts';
import { Kind, readSlot, Slot } from './scratch.ts';
import { denormalFlag, returnInvalid, returnNanOfTwo, writeSpecial } from './special.ts';

/** (cpu, control) -> flags: R = A * B. */
export const multiply: Subroutine = subroutine('softfloat.multiply', { params: ['i32', 'i32'], results: ['i32'] }, (f, link) => {
  const [cpu, control] = f.params as [Local, Local];
  returnNanOfTwo(f, link, cpu, control);
  const a = readSlot(f, cpu, Slot.A);
  const b = readSlot(f, cpu, Slot.B);
  const sign = f.let(xor(a.sign, b.sign));
  const denormal = denormalFlag(f, a, b);
  f.if(or(eq(a.kind, i32(Kind.INFINITY)), eq(b.kind, i32(Kind.INFINITY))), () => {
    f.if(or(eq(a.kind, i32(Kind.ZERO)), eq(b.kind, i32(Kind.ZERO))), () => returnInvalid(f, cpu));
    writeSpecial(f, cpu, i32(Kind.INFINITY), sign);
    f.return(denormal);
  });
  f.if(or(eq(a.kind, i32(Kind.ZERO)), eq(b.kind, i32(Kind.ZERO))), () => {
    writeSpecial(f, cpu, i32(Kind.ZERO), sign);
    f.return(denormal);
  });
  const high = f.let(f.call(link(multiplyHighUnsigned), a.significand, b.significand));
  const low = f.let(mul(a.significand, b.significand));
  // The product of two numbers in [1, 2) is in [1, 4).
  const isShort = f.let(and(ltS(i64(-1), high), i32(1)));
  const significand = select(isShort, or(shl(high, i64(1)), shrU(low, i64(63))), high);
  const exponent = sub(add(add(a.exponent, b.exponent), i32(1)), isShort);
  f.return(or(denormal, f.call(link(round), cpu, control, sign, exponent, significand, select(isShort, shl(low, i64(1)), low))));
});
