import { and, type Expr, eq, eqz, type FunctionBuilder, geS, geU, i32, i64, type Local, load, or, shl, xor } from '@minusone/wasm';
import type { Emit } from '../../../semantics/emit.ts';
import { type Subroutine, subroutine } from '../../../semantics/subroutine.ts';
import { controlOfFcw, Format } from '../../../softfloat/control.ts';
import { Flag } from '../../../softfloat/flags.ts';
import { Kind, Place, readSlot, Slot, writePlace, writeSlot } from '../../../softfloat/scratch.ts';
import { returnInvalid, returnNanOfOne } from '../../../softfloat/special.ts';
import { type InstructionRow, instruction, withOptions } from '../../../table/row.ts';
import { unpackTwo } from '../rounding.ts';
import {
  deliver,
  Fsw,
  isEmpty,
  moveTop,
  pop,
  pushBits,
  raise,
  readFcw,
  readFsw,
  registerAddress,
  STACK_FAULT,
  underflow,
  unpackStack,
  writeFsw,
  writeRegister,
} from '../stack.ts';
import { arctangent } from './arctangent.ts';
import { exponentialMinusOne } from './exponential.ts';
import { logarithm, logarithmPlusOne } from './logarithm.ts';
import { cosine, sine, tangent } from './trigonometric.ts';

/** Instructions that replace ST(0) by a function of it. */
function ofOne(name: string, compute: Subroutine): (e: Emit) => void {
  const whole = subroutine(`x87.${name}`, { params: ['i32'], results: [] }, (f, link) => {
    const [cpu] = f.params as [Local];
    f.if(f.call(link(isEmpty), cpu, i32(0)), () => {
      f.drop(f.call(link(underflow), cpu, i32(0)));
      f.return();
    });
    unpackStack(f, link, cpu, Slot.A, i32(0));
    f.callVoid(link(deliver), cpu, f.call(link(compute), cpu, controlOfFcw(readFcw(f, cpu), Format.X80)), i32(0), i32(0));
  });
  return (e) => e.callVoid(whole, e.cpu);
}

/** Instructions that replace ST(1) by a function of ST(0) and ST(1), and pop. */
function ofTwo(name: string, compute: Subroutine): (e: Emit) => void {
  const whole = subroutine(`x87.${name}`, { params: ['i32'], results: [] }, (f, link) => {
    const [cpu] = f.params as [Local];
    f.if(or(f.call(link(isEmpty), cpu, i32(0)), f.call(link(isEmpty), cpu, i32(1))), () => {
      f.if(f.call(link(underflow), cpu, i32(1)), () => f.callVoid(link(pop), cpu, i32(1)));
      f.return();
    });
    f.drop(f.call(link(unpackTwo), cpu));
    f.callVoid(link(deliver), cpu, f.call(link(compute), cpu, controlOfFcw(readFcw(f, cpu), Format.X80)), i32(1), i32(1));
  });
  return (e) => e.callVoid(whole, e.cpu);
}

/** Bit of `angle`'s answer: there is no result, since the operand is beyond 2^63. */
const OUT_OF_RANGE = 0x100;

/** The function of an angle in A, with its special cases: (cpu, control) -> flags, or OUT_OF_RANGE. `ofZero` is the function's value at zero. */
function angleFunction(name: string, compute: Subroutine, ofZero: 0 | 1): Subroutine {
  return subroutine(`x87.${name}OfAngle`, { params: ['i32', 'i32'], results: ['i32'] }, (f, link) => {
    const [cpu, control] = f.params as [Local, Local];
    const a = readSlot(f, cpu, Slot.A);
    returnNanOfOne(f, cpu, a);
    f.if(eq(a.kind, i32(Kind.INFINITY)), () => returnInvalid(f, cpu));
    f.if(eq(a.kind, i32(Kind.ZERO)), () => {
      const value = ofZero === 0 ? a : { ...a, significand: i64(1n << 63n), exponent: i32(0), sign: i32(0), kind: i32(Kind.FINITE) };
      writeSlot(f, cpu, Slot.R, value);
      writePlace(f, cpu, Place.ROUNDED_UP, i32(0));
      f.return(i32(0));
    });
    f.if(geS(a.exponent, i32(63)), () => f.return(i32(OUT_OF_RANGE)));
    f.return(or(shl(a.denormal, i32(1)), f.call(link(compute), cpu, control)));
  });
}

/** Whether the operand was no number. */
const isNanInSlotA = (f: FunctionBuilder, cpu: Expr): Expr => geU(readSlot(f, cpu, Slot.A).kind, i32(Kind.NAN));

/** (cpu): pushes what ST(0) holds. */
const pushCopy: Subroutine = subroutine('x87.pushCopy', { params: ['i32'], results: [] }, (f, link) => {
  const [cpu] = f.params as [Local];
  const address = f.let(f.call(link(registerAddress), cpu, i32(0)));
  f.callVoid(link(pushBits), cpu, load('i64', address), load('i32', address, { offset: 8, bytes: 2 }));
});

const sineOfAngle = angleFunction('sine', sine, 0);
const cosineOfAngle = angleFunction('cosine', cosine, 1);
const tangentOfAngle = angleFunction('tangent', tangent, 0);

/**
 * FSIN, FCOS, FPTAN and FSINCOS: C2 is set, and nothing else done, where the operand is beyond 2^63 (SDM Vol. 1, 8.3.10). What `push` says is pushed then: 1 (FPTAN), or the cosine.
 */
function ofAngle(name: string, compute: Subroutine, push: 'none' | 'one' | 'cosine'): (e: Emit) => void {
  const whole = subroutine(`x87.${name}`, { params: ['i32'], results: [] }, (f, link) => {
    const [cpu] = f.params as [Local];
    const setC2 = (c2: number): void => writeFsw(f, cpu, or(and(readFsw(f, cpu), i32(~Fsw.C2)), i32(c2)));
    setC2(0);
    const stackFault = (c1: number): void => {
      f.if(f.call(link(raise), cpu, i32(STACK_FAULT), i32(c1)), () => {
        f.callVoid(link(writeRegister), cpu, i32(0), i64(3n << 62n), i32(0xffff));
        if (push !== 'none') {
          f.callVoid(link(moveTop), cpu, i32(7));
          f.callVoid(link(writeRegister), cpu, i32(0), i64(3n << 62n), i32(0xffff));
        }
      });
      f.return();
    };
    f.if(f.call(link(isEmpty), cpu, i32(0)), () => stackFault(0));
    if (push !== 'none') f.if(eqz(f.call(link(isEmpty), cpu, i32(7))), () => stackFault(1));
    unpackStack(f, link, cpu, Slot.A, i32(0));
    const control = f.let(controlOfFcw(readFcw(f, cpu), Format.X80));
    const flags = f.let(f.call(link(compute), cpu, control));
    f.if(eq(flags, i32(OUT_OF_RANGE)), () => {
      f.drop(f.call(link(raise), cpu, i32(0), i32(0)));
      setC2(Fsw.C2);
      f.return();
    });
    f.callVoid(link(deliver), cpu, flags, i32(0), i32(0));
    if (push === 'none') return;
    const stops = and(and(flags, xor(readFcw(f, cpu), i32(-1))), i32(Flag.IE | Flag.DE));
    f.if(stops, () => f.return());
    const c1 = f.let(and(readFsw(f, cpu), i32(Fsw.C1)));
    f.if(
      or(and(flags, i32(Flag.IE)), isNanInSlotA(f, cpu)),
      () => f.callVoid(link(pushCopy), cpu),
      () => {
        if (push === 'one') f.callVoid(link(pushBits), cpu, i64(1n << 63n), i32(0x3fff));
        else {
          const cosineFlags = f.let(f.call(link(cosineOfAngle), cpu, control));
          f.callVoid(link(moveTop), cpu, i32(7));
          f.callVoid(link(deliver), cpu, cosineFlags, i32(0), i32(0));
        }
      },
    );
    if (push === 'one') writeFsw(f, cpu, or(readFsw(f, cpu), c1));
  });
  return (e) => e.callVoid(whole, e.cpu);
}

/** Transcendental instructions (SDM Vol. 1, 8.3.7 to 8.3.10): within one unit of the last place. */
export const transcendentalRows: readonly InstructionRow[] = withOptions({ errorBound: { ulps: 1 } }, [
  instruction('F2XM1', ['D9 F0'], ofOne('F2XM1', exponentialMinusOne)),
  instruction('FYL2X', ['D9 F1'], ofTwo('FYL2X', logarithm)),
  instruction('FYL2XP1', ['D9 F9'], ofTwo('FYL2XP1', logarithmPlusOne)),
  instruction('FPATAN', ['D9 F3'], ofTwo('FPATAN', arctangent)),
  instruction('FSIN', ['D9 FE'], ofAngle('FSIN', sineOfAngle, 'none')),
  instruction('FCOS', ['D9 FF'], ofAngle('FCOS', cosineOfAngle, 'none')),
  instruction('FSINCOS', ['D9 FB'], ofAngle('FSINCOS', sineOfAngle, 'cosine')),
  instruction('FPTAN', ['D9 F2'], ofAngle('FPTAN', tangentOfAngle, 'one')),
]);
