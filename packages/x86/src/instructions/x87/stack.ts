import {
  add,
  and,
  type Expr,
  eqz,
  type FunctionBuilder,
  type FunctionRef,
  i32,
  i64,
  type Local,
  load,
  mul,
  ne,
  or,
  select,
  shl,
  shrU,
  xor,
} from '@minusone/wasm';
import { type Subroutine, subroutine } from '../../semantics/subroutine.ts';
import { Flag } from '../../softfloat/flags.ts';
import { pack80 } from '../../softfloat/pack.ts';
import { Place, readPlace, type Slot } from '../../softfloat/scratch.ts';
import { unpack80 } from '../../softfloat/unpack.ts';
import { State } from '../../state/layout.ts';

/** The x87's register stack and status word (SDM Vol. 1, 8.1.2 and 8.1.3), as subroutines and as code within them. */

/** Bits of the status word. SF comes with the exception flags IE DE ZE OE UE PE (bits 0-5). */
export const Fsw = { SF: 0x40, ES: 0x80, C0: 0x100, C1: 0x200, C2: 0x400, C3: 0x4000, B: 0x8000, TOP_SHIFT: 11 } as const;

/** A status word as it is loaded from memory: ES and B follow from the exception flags and the control word's masks, whatever was stored (SDM Vol. 1, 8.1.3.3). */
export function summarized(fsw: number, fcw: number): number {
  const isPending = (fsw & ~fcw & 0x3f) !== 0;
  return (fsw & 0xffff & ~(Fsw.ES | Fsw.B)) | (isPending ? Fsw.ES | Fsw.B : 0);
}
/** IE with SF: stack overflow (C1 = 1) or underflow (C1 = 0). */
export const STACK_FAULT: number = Fsw.SF | 1;

export const readFcw = (f: FunctionBuilder, cpu: Expr): Expr => f.let(load('i32', cpu, { offset: State.fcw }));
export const readFsw = (f: FunctionBuilder, cpu: Expr): Expr => f.let(load('i32', cpu, { offset: State.fsw }));
export function writeFsw(f: FunctionBuilder, cpu: Expr, value: Expr): void {
  f.store(cpu, value, { offset: State.fsw });
}

/** Number of the physical register that is ST(i). */
export function physicalRegister(f: FunctionBuilder, cpu: Expr, i: Expr): Expr {
  return f.let(and(add(shrU(load('i32', cpu, { offset: State.fsw }), i32(Fsw.TOP_SHIFT)), i), i32(7)));
}

/** (cpu, i) -> address of ST(i). */
export const registerAddress: Subroutine = subroutine('x87.registerAddress', { params: ['i32', 'i32'], results: ['i32'] }, (f) => {
  const [cpu, i] = f.params as [Local, Local];
  f.return(add(add(cpu, i32(State.fpr)), mul(physicalRegister(f, cpu, i), i32(16))));
});

/** (cpu, i) -> 1 where ST(i) is empty. */
export const isEmpty: Subroutine = subroutine('x87.isEmpty', { params: ['i32', 'i32'], results: ['i32'] }, (f) => {
  const [cpu, i] = f.params as [Local, Local];
  f.return(xor(and(shrU(load('i32', cpu, { offset: State.ftw }), physicalRegister(f, cpu, i)), i32(1)), i32(1)));
});

/** (cpu, slot offset, i): takes ST(i) apart. */
export const unpackRegister: Subroutine = subroutine('x87.unpackRegister', { params: ['i32', 'i32', 'i32'], results: [] }, (f, link) => {
  const [cpu, slot, i] = f.params as [Local, Local, Local];
  const address = f.let(f.call(link(registerAddress), cpu, i));
  f.callVoid(link(unpack80), add(cpu, slot), load('i64', address), load('i32', address, { offset: 8, bytes: 2 }));
});

/** (cpu, i, significand, sign and exponent): writes ST(i), which is then not empty. */
export const writeRegister: Subroutine = subroutine(
  'x87.writeRegister',
  { params: ['i32', 'i32', 'i64', 'i32'], results: [] },
  (f, link) => {
    const [cpu, i, significand, signExponent] = f.params as [Local, Local, Local, Local];
    const address = f.let(f.call(link(registerAddress), cpu, i));
    f.store(address, significand);
    f.store(address, signExponent, { offset: 8, bytes: 2 });
    f.callVoid(link(markValid), cpu, i);
  },
);

const markValid: Subroutine = subroutine('x87.markValid', { params: ['i32', 'i32'], results: [] }, (f) => {
  const [cpu, i] = f.params as [Local, Local];
  const bit = shl(i32(1), physicalRegister(f, cpu, i));
  f.store(cpu, or(load('i32', cpu, { offset: State.ftw }), bit), { offset: State.ftw });
});

/** (cpu, i): marks ST(i) empty. */
export const free: Subroutine = subroutine('x87.free', { params: ['i32', 'i32'], results: [] }, (f) => {
  const [cpu, i] = f.params as [Local, Local];
  const bit = shl(i32(1), physicalRegister(f, cpu, i));
  f.store(cpu, and(load('i32', cpu, { offset: State.ftw }), xor(bit, i32(-1))), { offset: State.ftw });
});

/** (cpu, by): moves TOP. */
export const moveTop: Subroutine = subroutine('x87.moveTop', { params: ['i32', 'i32'], results: [] }, (f) => {
  const [cpu, by] = f.params as [Local, Local];
  const top = shl(physicalRegister(f, cpu, by), i32(Fsw.TOP_SHIFT));
  const rest = and(load('i32', cpu, { offset: State.fsw }), i32(~(7 << Fsw.TOP_SHIFT)));
  writeFsw(f, cpu, or(rest, top));
});

/** (cpu, count): pops 0, 1 or 2 registers. */
export const pop: Subroutine = subroutine('x87.pop', { params: ['i32', 'i32'], results: [] }, (f, link) => {
  const [cpu, count] = f.params as [Local, Local];
  f.if(eqz(count), () => f.return());
  f.callVoid(link(free), cpu, i32(0));
  f.callVoid(link(moveTop), cpu, i32(1));
  f.if(and(count, i32(2)), () => {
    f.callVoid(link(free), cpu, i32(0));
    f.callVoid(link(moveTop), cpu, i32(1));
  });
});

/**
 * (cpu, flags, c1) -> 1 where the instruction goes on: adds exception flags (and SF) to the status word, sets C1, and ES and B if an exception is unmasked. Unmasked IE, DE
 * and ZE leave the operands alone, and nothing is computed that could be inexact or round up (SDM Vol. 1, 8.5).
 */
export const raise: Subroutine = subroutine('x87.raise', { params: ['i32', 'i32', 'i32'], results: ['i32'] }, (f) => {
  const [cpu, flags, c1] = f.params as [Local, Local, Local];
  const unmasked = f.let(and(and(flags, i32(0x3f)), xor(readFcw(f, cpu), i32(-1))));
  const stops = f.let(ne(and(unmasked, i32(Flag.IE | Flag.DE | Flag.ZE)), i32(0)));
  const raised = select(stops, and(flags, i32(~(Flag.OE | Flag.UE | Flag.PE))), flags);
  const up = select(stops, and(c1, flags), c1); // stack overflow, which is IE, says so
  const fsw = f.let(or(or(and(readFsw(f, cpu), i32(~Fsw.C1)), raised), shl(up, i32(9))));
  f.if(
    unmasked,
    () => writeFsw(f, cpu, or(fsw, i32(Fsw.ES | Fsw.B))),
    () => writeFsw(f, cpu, fsw),
  );
  f.return(xor(stops, i32(1)));
});

/** (cpu, i) -> 1 where it goes on: stack underflow. The masked response is the default NaN in ST(i). */
export const underflow: Subroutine = subroutine('x87.underflow', { params: ['i32', 'i32'], results: ['i32'] }, (f, link) => {
  const [cpu, i] = f.params as [Local, Local];
  const goesOn = f.let(f.call(link(raise), cpu, i32(STACK_FAULT), i32(0)));
  f.if(goesOn, () => f.callVoid(link(writeRegister), cpu, i, i64(3n << 62n), i32(0xffff)));
  f.return(goesOn);
});

/** (cpu, flags, i, pops): delivers the result slot to ST(i) with the flags of its computation. */
export const deliver: Subroutine = subroutine('x87.deliver', { params: ['i32', 'i32', 'i32', 'i32'], results: [] }, (f, link) => {
  const [cpu, flags, i, pops] = f.params as [Local, Local, Local, Local];
  f.if(eqz(f.call(link(raise), cpu, flags, readPlace(f, cpu, Place.ROUNDED_UP, 'i32'))), () => f.return());
  f.callVoid(link(pack80), cpu, f.call(link(registerAddress), cpu, i));
  f.callVoid(link(markValid), cpu, i);
  f.callVoid(link(pop), cpu, pops);
});

/** (cpu) -> 1 where a push finds a free register. Otherwise stack overflow is raised, with its masked response: the default NaN is pushed. */
export const mayPush: Subroutine = subroutine('x87.mayPush', { params: ['i32'], results: ['i32'] }, (f, link) => {
  const [cpu] = f.params as [Local];
  f.if(f.call(link(isEmpty), cpu, i32(7)), () => f.return(i32(1)));
  f.if(f.call(link(raise), cpu, i32(STACK_FAULT), i32(1)), () => {
    f.callVoid(link(moveTop), cpu, i32(7));
    f.callVoid(link(writeRegister), cpu, i32(0), i64(3n << 62n), i32(0xffff));
  });
  f.return(i32(0));
});

/** (cpu, significand, sign and exponent): pushes a number as it is; C1 is cleared. */
export const pushBits: Subroutine = subroutine('x87.pushBits', { params: ['i32', 'i64', 'i32'], results: [] }, (f, link) => {
  const [cpu, significand, signExponent] = f.params as [Local, Local, Local];
  f.if(eqz(f.call(link(mayPush), cpu)), () => f.return());
  f.drop(f.call(link(raise), cpu, i32(0), i32(0)));
  f.callVoid(link(moveTop), cpu, i32(7));
  f.callVoid(link(writeRegister), cpu, i32(0), significand, signExponent);
});

/** (cpu, flags): pushes the result slot, with the flags of its making. Unmasked DE is reported, but does not keep the number from being loaded. */
export const pushResult: Subroutine = subroutine('x87.pushResult', { params: ['i32', 'i32'], results: [] }, (f, link) => {
  const [cpu, flags] = f.params as [Local, Local];
  f.if(eqz(f.call(link(mayPush), cpu)), () => f.return());
  const goesOn = f.let(f.call(link(raise), cpu, flags, i32(0)));
  f.if(and(xor(goesOn, i32(1)), flags), () => f.return());
  f.callVoid(link(moveTop), cpu, i32(7));
  f.callVoid(link(pack80), cpu, f.call(link(registerAddress), cpu, i32(0)));
  f.callVoid(link(markValid), cpu, i32(0));
});

/** Takes ST(i) apart into a slot. */
export function unpackStack(f: FunctionBuilder, link: (s: Subroutine) => FunctionRef, cpu: Expr, slot: Slot, i: Expr): void {
  f.callVoid(link(unpackRegister), cpu, i32(slot), i);
}
