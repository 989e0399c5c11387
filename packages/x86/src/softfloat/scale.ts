import { add, and, eq, extendU, geS, i32, i64, type Local, ltS, ne, or, select, shrU, sub, wrap } from '@minusone/wasm';
import { type Subroutine, subroutine } from '../semantics/subroutine.ts';
import { round } from './round.ts';
import { Kind, readSlot, Slot } from './scratch.ts';
import { denormalFlag, returnInvalid, returnNanOfTwo, writeSpecial } from './special.ts';

/** Beyond this power of two every result overflows or underflows. */
const FAR = 0x1_0000;

/** (cpu, control) -> flags: R = A * 2^(B truncated to an integer): FSCALE (SDM Vol. 2A). */
export const scale: Subroutine = subroutine('softfloat.scale', { params: ['i32', 'i32'], results: ['i32'] }, (f, link) => {
  const [cpu, control] = f.params as [Local, Local];
  returnNanOfTwo(f, link, cpu, control);
  const a = readSlot(f, cpu, Slot.A);
  const b = readSlot(f, cpu, Slot.B);
  const denormal = denormalFlag(f, a, b);
  f.if(eq(b.kind, i32(Kind.INFINITY)), () => {
    // 0 * 2^infinity, infinity * 2^-infinity
    f.if(eq(a.kind, select(b.sign, i32(Kind.INFINITY), i32(Kind.ZERO))), () => returnInvalid(f, cpu));
    writeSpecial(f, cpu, select(b.sign, i32(Kind.ZERO), i32(Kind.INFINITY)), a.sign);
    f.return(denormal);
  });
  f.if(ne(a.kind, i32(Kind.FINITE)), () => {
    writeSpecial(f, cpu, a.kind, a.sign);
    f.return(denormal);
  });
  const isFar = geS(b.exponent, i32(16));
  const isFraction = or(ltS(b.exponent, i32(0)), eq(b.kind, i32(Kind.ZERO)));
  const integer = wrap(shrU(b.significand, extendU(and(sub(i32(63), b.exponent), i32(63)))));
  const magnitude = f.let(select(isFraction, i32(0), select(isFar, i32(FAR), integer)));
  const power = select(b.sign, sub(i32(0), magnitude), magnitude);
  f.return(or(denormal, f.call(link(round), cpu, control, a.sign, add(a.exponent, power), a.significand, i64(0))));
});
