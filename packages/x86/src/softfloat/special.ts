import {
  and,
  type Expr,
  eq,
  type FunctionBuilder,
  type FunctionRef,
  geU,
  gtU,
  i32,
  i64,
  type Local,
  ltU,
  or,
  select,
  shl,
} from '@minusone/wasm';
import { type Subroutine, subroutine } from '../semantics/subroutine.ts';
import { Control } from './control.ts';
import { Flag } from './flags.ts';
import { Kind, Place, readSlot, Slot, type Unpacked, writePlace, writeSlot } from './scratch.ts';

/** Results that need no arithmetic: NaNs, zeros, infinities. */

/** The bit of `nanResult` that says there is one. */
const IS_NAN = 0x100;

/** Makes the result the default NaN ("real indefinite", SDM Vol. 1, 4.8.3.7). */
export function writeDefaultNan(f: FunctionBuilder, cpu: Expr): void {
  writeSlot(f, cpu, Slot.R, { significand: i64(3n << 62n), sign: i32(1), kind: i32(Kind.NAN) });
  writePlace(f, cpu, Place.ROUNDED_UP, i32(0));
}

/** Leaves with the default NaN and IE. */
export function returnInvalid(f: FunctionBuilder, cpu: Expr): void {
  writeDefaultNan(f, cpu);
  f.return(i32(Flag.IE));
}

/** Makes the result a zero or an infinity. */
export function writeSpecial(f: FunctionBuilder, cpu: Expr, kind: Expr, sign: Expr): void {
  writeSlot(f, cpu, Slot.R, { kind, sign });
  writePlace(f, cpu, Place.ROUNDED_UP, i32(0));
}

/** Makes the result the given NaN, quieted. */
function writeNan(f: FunctionBuilder, cpu: Expr, nan: Unpacked): void {
  writeSlot(f, cpu, Slot.R, { significand: or(nan.significand, i64(3n << 62n)), sign: nan.sign, kind: i32(Kind.NAN) });
  writePlace(f, cpu, Place.ROUNDED_UP, i32(0));
}

/**
 * (cpu, control) -> 0 where both operands are numbers; otherwise IS_NAN with IE if due, and the result is a NaN: SDM Vol. 1, Table 4-7 "Rules for Handling NaNs".
 * SSE takes the first operand that is one. The x87 takes the quiet one of a quiet and a signalling one, and of two alike the larger significand; of equal ones
 * the positive.
 */
const nanResult: Subroutine = subroutine('softfloat.nanResult', { params: ['i32', 'i32'], results: ['i32'] }, (f) => {
  const [cpu, control] = f.params as [Local, Local];
  const a = readSlot(f, cpu, Slot.A);
  const b = readSlot(f, cpu, Slot.B);
  f.if(and(ltU(a.kind, i32(Kind.NAN)), ltU(b.kind, i32(Kind.NAN))), () => f.return(i32(0)));
  f.if(or(eq(a.kind, i32(Kind.UNSUPPORTED)), eq(b.kind, i32(Kind.UNSUPPORTED))), () => {
    writeDefaultNan(f, cpu);
    f.return(i32(IS_NAN | Flag.IE));
  });
  const isSignalling = or(eq(a.kind, i32(Kind.SIGNALLING)), eq(b.kind, i32(Kind.SIGNALLING)));
  const flags = f.let(select(isSignalling, i32(IS_NAN | Flag.IE), i32(IS_NAN)));
  const larger = or(gtU(a.significand, b.significand), and(eq(a.significand, b.significand), ltU(a.sign, b.sign)));
  const quietOrLarger = select(eq(a.kind, b.kind), larger, eq(a.kind, i32(Kind.NAN)));
  const bothNan = and(geU(a.kind, i32(Kind.NAN)), geU(b.kind, i32(Kind.NAN)));
  const byRule = select(and(control, i32(Control.FIRST_NAN)), i32(1), quietOrLarger);
  const takesA = select(bothNan, byRule, geU(a.kind, i32(Kind.NAN)));
  f.if(
    takesA,
    () => writeNan(f, cpu, a),
    () => writeNan(f, cpu, b),
  );
  f.return(flags);
});

/** Leaves with the NaN that an operation on A and B gives, if one of them is no number. */
export function returnNanOfTwo(f: FunctionBuilder, link: (s: Subroutine) => FunctionRef, cpu: Expr, control: Expr): void {
  const flags = f.let(f.call(link(nanResult), cpu, control));
  f.if(flags, () => f.return(and(flags, i32(0x3f))));
}

/** The same for an operation on A alone. */
export function returnNanOfOne(f: FunctionBuilder, cpu: Expr, a: Unpacked): void {
  f.if(geU(a.kind, i32(Kind.NAN)), () => {
    f.if(eq(a.kind, i32(Kind.UNSUPPORTED)), () => returnInvalid(f, cpu));
    writeNan(f, cpu, a);
    f.return(select(eq(a.kind, i32(Kind.SIGNALLING)), i32(Flag.IE), i32(0)));
  });
}

/** DE, if one of the operands is a denormal. */
export function denormalFlag(f: FunctionBuilder, a: Unpacked, b?: Unpacked): Expr {
  return f.let(shl(b === undefined ? a.denormal : or(a.denormal, b.denormal), i32(1)));
}
