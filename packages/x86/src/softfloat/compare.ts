import { and, type Expr, eq, geU, gtS, gtU, i32, type Local, ne, or, select, xor } from '@minusone/wasm';
import { type Subroutine, subroutine } from '../semantics/subroutine.ts';
import { Flag } from './flags.ts';
import { Kind, readSlot, Slot } from './scratch.ts';

/** What a comparison says, as COMISS and FCOMI leave it in EFLAGS: CF bit 0, PF bit 2, ZF bit 6 (SDM Vol. 2A, COMISS). */
export const Relation = { GREATER: 0, LESS: 0x01, EQUAL: 0x40, UNORDERED: 0x45 } as const;
/** Where `compare` puts its exception flags, above the relation. */
export const COMPARE_FLAGS_SHIFT = 8;

/** (cpu, quiet) -> relation | flags << 8, of A with B. A NaN gives IE; if `quiet` is 1, only a signalling NaN or an unsupported operand does. */
export const compare: Subroutine = subroutine('softfloat.compare', { params: ['i32', 'i32'], results: ['i32'] }, (f) => {
  const [cpu, quiet] = f.params as [Local, Local];
  const a = readSlot(f, cpu, Slot.A);
  const b = readSlot(f, cpu, Slot.B);
  const shifted = (flag: number): number => flag << COMPARE_FLAGS_SHIFT;
  f.if(or(geU(a.kind, i32(Kind.NAN)), geU(b.kind, i32(Kind.NAN))), () => {
    const isSignalling = or(gtU(a.kind, i32(Kind.NAN)), gtU(b.kind, i32(Kind.NAN)));
    f.return(select(or(isSignalling, xor(quiet, i32(1))), i32(Relation.UNORDERED | shifted(Flag.IE)), i32(Relation.UNORDERED)));
  });
  const denormal = f.let(select(or(a.denormal, b.denormal), i32(shifted(Flag.DE)), i32(0)));
  f.if(and(eq(a.kind, i32(Kind.ZERO)), eq(b.kind, i32(Kind.ZERO))), () => f.return(i32(Relation.EQUAL)));
  /** LESS where the sign is minus and the magnitude greater, or the other way round. */
  const bySign = (sign: Expr): Expr => or(denormal, select(sign, i32(Relation.LESS), i32(Relation.GREATER)));
  f.if(eq(a.kind, i32(Kind.ZERO)), () => f.return(bySign(xor(b.sign, i32(1)))));
  f.if(or(eq(b.kind, i32(Kind.ZERO)), ne(a.sign, b.sign)), () => f.return(bySign(a.sign)));
  // Two of one sign: by kind (an infinity is the greater), then exponent, then significand.
  f.if(ne(a.kind, b.kind), () => f.return(bySign(xor(a.sign, gtU(b.kind, a.kind)))));
  f.if(eq(a.kind, i32(Kind.INFINITY)), () => f.return(i32(Relation.EQUAL)));
  f.if(ne(a.exponent, b.exponent), () => f.return(bySign(xor(a.sign, gtS(b.exponent, a.exponent)))));
  f.if(eq(a.significand, b.significand), () => f.return(or(denormal, i32(Relation.EQUAL))));
  f.return(bySign(xor(a.sign, gtU(b.significand, a.significand))));
});
