import { eq, i32, i64, type Local, or, shl } from '@minusone/wasm';
import { type Subroutine, subroutine } from '../semantics/subroutine.ts';
import { round } from './round.ts';
import { Kind, Place, readSlot, Slot, writePlace, writeSlot } from './scratch.ts';
import { returnNanOfOne } from './special.ts';

/** (cpu, control) -> flags: R = A, rounded to another format. */
export const convert: Subroutine = subroutine('softfloat.convert', { params: ['i32', 'i32'], results: ['i32'] }, (f, link) => {
  const [cpu, control] = f.params as [Local, Local];
  const a = readSlot(f, cpu, Slot.A);
  returnNanOfOne(f, cpu, a);
  f.if(eq(a.kind, i32(Kind.FINITE)), () => {
    const flags = f.call(link(round), cpu, control, a.sign, a.exponent, a.significand, i64(0));
    f.return(or(shl(a.denormal, i32(1)), flags));
  });
  writeSlot(f, cpu, Slot.R, a);
  writePlace(f, cpu, Place.ROUNDED_UP, i32(0));
  f.return(i32(0));
});
