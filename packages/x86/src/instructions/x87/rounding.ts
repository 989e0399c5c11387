import { and, type Expr, eq, eqz, extendS, i32, i64, type Local, or, select, shl, shrU, xor } from '@minusone/wasm';
import { type Subroutine, subroutine } from '../../semantics/subroutine.ts';
import { controlOfFcw, Format } from '../../softfloat/control.ts';
import { Flag } from '../../softfloat/flags.ts';
import { roundToIntegral } from '../../softfloat/integral.ts';
import { INCOMPLETE, NO_QUOTIENT, remainder } from '../../softfloat/remainder.ts';
import { scale } from '../../softfloat/scale.ts';
import { Kind, Place, readPlace, readSlot, Slot, slotPointer, writeSlot } from '../../softfloat/scratch.ts';
import { returnNanOfOne } from '../../softfloat/special.ts';
import { unpackInteger } from '../../softfloat/unpack.ts';
import { type InstructionRow, instruction } from '../../table/row.ts';
import {
  deliver,
  Fsw,
  isEmpty,
  moveTop,
  pushResult,
  raise,
  readFcw,
  readFsw,
  STACK_FAULT,
  underflow,
  unpackStack,
  writeFsw,
  writeRegister,
} from './stack.ts';

/** (cpu): FRNDINT. PC has no say. */
const roundTop: Subroutine = subroutine('x87.roundTop', { params: ['i32'], results: [] }, (f, link) => {
  const [cpu] = f.params as [Local];
  f.if(f.call(link(isEmpty), cpu, i32(0)), () => {
    f.drop(f.call(link(underflow), cpu, i32(0)));
    f.return();
  });
  unpackStack(f, link, cpu, Slot.A, i32(0));
  const a = readSlot(f, cpu, Slot.A);
  const flags = f.call(link(roundToIntegral), cpu, controlOfFcw(readFcw(f, cpu), Format.X80));
  f.callVoid(link(deliver), cpu, or(flags, shl(a.denormal, i32(1))), i32(0), i32(0));
});

/** (cpu): takes ST(0) and ST(1) apart. Returns 1 where both are there; otherwise stack underflow is raised. */
export const unpackTwo: Subroutine = subroutine('x87.unpackTwo', { params: ['i32'], results: ['i32'] }, (f, link) => {
  const [cpu] = f.params as [Local];
  f.if(or(f.call(link(isEmpty), cpu, i32(0)), f.call(link(isEmpty), cpu, i32(1))), () => {
    f.drop(f.call(link(underflow), cpu, i32(0)));
    f.return(i32(0));
  });
  unpackStack(f, link, cpu, Slot.A, i32(0));
  unpackStack(f, link, cpu, Slot.B, i32(1));
  f.return(i32(1));
});

/** (cpu): FSCALE. PC has no say. */
const scaleTop: Subroutine = subroutine('x87.scaleTop', { params: ['i32'], results: [] }, (f, link) => {
  const [cpu] = f.params as [Local];
  f.if(f.call(link(unpackTwo), cpu), () => {
    const flags = f.call(link(scale), cpu, controlOfFcw(readFcw(f, cpu), Format.X80));
    f.callVoid(link(deliver), cpu, flags, i32(0), i32(0));
  });
});

/**
 * (cpu, nearest): FPREM, FPREM1. C2 says that the reduction is not complete; if it is, C0, C3 and C1 are bits 2, 1 and 0 of the quotient. Where there is none, C0 and C3
 * stay as they are, and so where an unmasked exception stops it.
 */
const remainderTop: Subroutine = subroutine('x87.remainderTop', { params: ['i32', 'i32'], results: [] }, (f, link) => {
  const [cpu, nearest] = f.params as [Local, Local];
  const clear = (bits: number): Expr => and(readFsw(f, cpu), i32(~bits));
  writeFsw(f, cpu, clear(Fsw.C2));
  f.if(f.call(link(unpackTwo), cpu), () => {
    const flags = f.let(f.call(link(remainder), cpu, controlOfFcw(readFcw(f, cpu), Format.X80), nearest));
    const quotient = readPlace(f, cpu, Place.EXTRA, 'i32');
    f.callVoid(link(deliver), cpu, flags, i32(0), i32(0));
    const stops = and(and(flags, xor(readFcw(f, cpu), i32(-1))), i32(Flag.IE | Flag.DE));
    f.if(or(eq(quotient, i32(NO_QUOTIENT)), stops), () => f.return());
    const c0 = shl(and(shrU(quotient, i32(2)), i32(1)), i32(8));
    const c3 = shl(and(shrU(quotient, i32(1)), i32(1)), i32(14));
    const c1 = shl(and(quotient, i32(1)), i32(9));
    const codes = f.let(select(eq(quotient, i32(INCOMPLETE)), i32(Fsw.C2), or(or(c0, c3), c1)));
    writeFsw(f, cpu, or(clear(Fsw.C0 | Fsw.C1 | Fsw.C2 | Fsw.C3), codes));
  });
});

/** (cpu): FXTRACT: ST(0) becomes the exponent of what it was, and the significand is pushed. */
const extract: Subroutine = subroutine('x87.extract', { params: ['i32'], results: [] }, (f, link) => {
  const [cpu] = f.params as [Local];
  const nan = (i: number): void => f.callVoid(link(writeRegister), cpu, i32(i), i64(3n << 62n), i32(0xffff));
  f.if(f.call(link(isEmpty), cpu, i32(0)), () => {
    f.if(f.call(link(raise), cpu, i32(STACK_FAULT), i32(0)), () => {
      nan(0);
      f.callVoid(link(moveTop), cpu, i32(7));
      nan(0);
    });
    f.return();
  });
  f.if(eqz(f.call(link(isEmpty), cpu, i32(7))), () => {
    f.if(f.call(link(raise), cpu, i32(STACK_FAULT), i32(1)), () => {
      nan(0);
      f.callVoid(link(moveTop), cpu, i32(7));
      nan(0);
    });
    f.return();
  });
  unpackStack(f, link, cpu, Slot.A, i32(0));
  const a = readSlot(f, cpu, Slot.A);
  const flags = f.let(f.call(link(exponentOf), cpu));
  f.if(f.call(link(raise), cpu, flags, i32(0)), () => {
    f.callVoid(link(deliver), cpu, i32(0), i32(0), i32(0));
    f.if(eq(a.kind, i32(Kind.FINITE)), () => writeSlot(f, cpu, Slot.R, { ...a, exponent: i32(0) }));
    f.if(or(eq(a.kind, i32(Kind.ZERO)), eq(a.kind, i32(Kind.INFINITY))), () => writeSlot(f, cpu, Slot.R, a));
    f.callVoid(link(pushResult), cpu, i32(0));
  });
});

/** (cpu) -> flags: R = the exponent of A as a number: -infinity with ZE for zero, +infinity for infinity. */
const exponentOf: Subroutine = subroutine('x87.exponentOf', { params: ['i32'], results: ['i32'] }, (f, link) => {
  const [cpu] = f.params as [Local];
  const a = readSlot(f, cpu, Slot.A);
  returnNanOfOne(f, cpu, a);
  f.if(eq(a.kind, i32(Kind.FINITE)), () => {
    f.callVoid(link(unpackInteger), slotPointer(cpu, Slot.R), extendS(a.exponent));
    f.return(shl(a.denormal, i32(1)));
  });
  const isZero = f.let(eq(a.kind, i32(Kind.ZERO)));
  writeSlot(f, cpu, Slot.R, { kind: i32(Kind.INFINITY), sign: isZero });
  f.return(select(isZero, i32(Flag.ZE), i32(0)));
});

/** What is not addition and its kin, but exact or rounded once (SDM Vol. 1, 8.3.5 and 8.3.9). */
export const roundingRows: readonly InstructionRow[] = [
  instruction('FRNDINT', ['D9 FC'], (e) => e.callVoid(roundTop, e.cpu)),
  instruction('FSCALE', ['D9 FD'], (e) => e.callVoid(scaleTop, e.cpu)),
  instruction('FPREM', ['D9 F8'], (e) => e.callVoid(remainderTop, e.cpu, i32(0))),
  instruction('FPREM1', ['D9 F5'], (e) => e.callVoid(remainderTop, e.cpu, i32(1))),
  instruction('FXTRACT', ['D9 F4'], (e) => e.callVoid(extract, e.cpu)),
];
