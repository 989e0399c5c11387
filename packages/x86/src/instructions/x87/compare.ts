import { and, eq, geU, i32, i64, type Local, or, select, shl, shrU } from '@minusone/wasm';
import type { Emit } from '../../semantics/emit.ts';
import { type Subroutine, subroutine } from '../../semantics/subroutine.ts';
import { COMPARE_FLAGS_SHIFT, compare, Relation } from '../../softfloat/compare.ts';
import { Kind, readSlot, Slot, writeSlot } from '../../softfloat/scratch.ts';
import { type InstructionRow, instruction } from '../../table/row.ts';
import { unpackOperand } from './memory-operands.ts';
import { Fsw, isEmpty, pop, raise, readFsw, STACK_FAULT, unpackStack, writeFsw } from './stack.ts';

/** What `relate` returns beside the relation: the comparison was made (or its exception masked). */
const DELIVERED = 0x100;

/** (cpu, quiet) -> relation of A with B, and DELIVERED; the exceptions are raised. */
const relate: Subroutine = subroutine('x87.relate', { params: ['i32', 'i32'], results: ['i32'] }, (f, link) => {
  const [cpu, quiet] = f.params as [Local, Local];
  const relation = f.let(f.call(link(compare), cpu, quiet));
  const goesOn = f.call(link(raise), cpu, shrU(relation, i32(COMPARE_FLAGS_SHIFT)), i32(0));
  f.return(or(and(relation, i32(0xff)), shl(goesOn, i32(8))));
});

/** (cpu, i, quiet) -> relation of ST(0) with ST(i), and DELIVERED. An empty register gives unordered and stack underflow. */
const relateRegisters: Subroutine = subroutine('x87.relateRegisters', { params: ['i32', 'i32', 'i32'], results: ['i32'] }, (f, link) => {
  const [cpu, i, quiet] = f.params as [Local, Local, Local];
  f.if(or(f.call(link(isEmpty), cpu, i32(0)), f.call(link(isEmpty), cpu, i)), () => {
    f.return(or(i32(Relation.UNORDERED), shl(f.call(link(raise), cpu, i32(STACK_FAULT), i32(0)), i32(8))));
  });
  unpackStack(f, link, cpu, Slot.A, i32(0));
  unpackStack(f, link, cpu, Slot.B, i);
  f.return(f.call(link(relate), cpu, quiet));
});

/** (cpu, relation, pops): C3, C2 and C0 stand as ZF, PF and CF (SDM Vol. 1, Table 8-6). The stack is popped unless an unmasked exception stops that. */
const setConditionCodes: Subroutine = subroutine('x87.setConditionCodes', { params: ['i32', 'i32', 'i32'], results: [] }, (f, link) => {
  const [cpu, relation, pops] = f.params as [Local, Local, Local];
  const codes = shl(and(relation, i32(Relation.UNORDERED)), i32(8));
  writeFsw(f, cpu, or(and(readFsw(f, cpu), i32(~(Fsw.C0 | Fsw.C2 | Fsw.C3))), codes));
  f.if(and(relation, i32(DELIVERED)), () => f.callVoid(link(pop), cpu, pops));
});

/** (cpu, i, quiet) -> as `relateRegisters`; C1 stays as it is, unless the stack underflows (SDM Vol. 2A, FCOMI). */
const relateKeepingC1: Subroutine = subroutine('x87.relateKeepingC1', { params: ['i32', 'i32', 'i32'], results: ['i32'] }, (f, link) => {
  const [cpu, i, quiet] = f.params as [Local, Local, Local];
  const c1 = f.let(and(readFsw(f, cpu), i32(Fsw.C1)));
  const underflows = or(f.call(link(isEmpty), cpu, i32(0)), f.call(link(isEmpty), cpu, i));
  const kept = f.let(select(underflows, i32(0), c1));
  const relation = f.let(f.call(link(relateRegisters), cpu, i, quiet));
  writeFsw(f, cpu, or(readFsw(f, cpu), kept));
  f.return(relation);
});

/** (cpu, i, quiet, pops). */
const compareRegisters: Subroutine = subroutine(
  'x87.compareRegisters',
  { params: ['i32', 'i32', 'i32', 'i32'], results: [] },
  (f, link) => {
    const [cpu, i, quiet, pops] = f.params as [Local, Local, Local, Local];
    f.callVoid(link(setConditionCodes), cpu, f.call(link(relateRegisters), cpu, i, quiet), pops);
  },
);

/** (cpu, pops): ST(0) with slot B, signalling. */
const compareMemory: Subroutine = subroutine('x87.compareMemory', { params: ['i32', 'i32'], results: [] }, (f, link) => {
  const [cpu, pops] = f.params as [Local, Local];
  f.if(f.call(link(isEmpty), cpu, i32(0)), () => {
    const goesOn = shl(f.call(link(raise), cpu, i32(STACK_FAULT), i32(0)), i32(8));
    f.callVoid(link(setConditionCodes), cpu, or(i32(Relation.UNORDERED), goesOn), pops);
    f.return();
  });
  unpackStack(f, link, cpu, Slot.A, i32(0));
  f.callVoid(link(setConditionCodes), cpu, f.call(link(relate), cpu, i32(0)), pops);
});

/** (cpu): makes slot B zero. */
const zeroSlotB: Subroutine = subroutine('x87.zeroSlotB', { params: ['i32'], results: [] }, (f) => {
  const [cpu] = f.params as [Local];
  writeSlot(f, cpu, Slot.B, { significand: i64(0), exponent: i32(0), sign: i32(0), kind: i32(Kind.ZERO), denormal: i32(0) });
});

/** (cpu): FXAM (SDM Vol. 1, Table 8-7; Vol. 2A, FXAM): the class of ST(0), empty or not, in C3, C2 and C0; its sign in C1. */
const examine: Subroutine = subroutine('x87.examine', { params: ['i32'], results: [] }, (f, link) => {
  const [cpu] = f.params as [Local];
  unpackStack(f, link, cpu, Slot.A, i32(0));
  const a = readSlot(f, cpu, Slot.A);
  const codes = f.local('i32');
  f.set(codes, select(a.denormal, i32(Fsw.C3 | Fsw.C2), i32(Fsw.C2)));
  f.set(codes, select(eq(a.kind, i32(Kind.ZERO)), i32(Fsw.C3), codes));
  f.set(codes, select(eq(a.kind, i32(Kind.INFINITY)), i32(Fsw.C2 | Fsw.C0), codes));
  f.set(codes, select(geU(a.kind, i32(Kind.NAN)), i32(Fsw.C0), codes));
  f.set(codes, select(eq(a.kind, i32(Kind.UNSUPPORTED)), i32(0), codes));
  f.set(codes, select(f.call(link(isEmpty), cpu, i32(0)), i32(Fsw.C3 | Fsw.C0), codes));
  const rest = and(readFsw(f, cpu), i32(~(Fsw.C0 | Fsw.C1 | Fsw.C2 | Fsw.C3)));
  writeFsw(f, cpu, or(or(rest, codes), shl(a.sign, i32(9))));
});

function registers(quiet: 0 | 1, pops: number): (e: Emit) => void {
  return (e) => e.callVoid(compareRegisters, e.cpu, i32(e.src.index), i32(quiet), i32(pops));
}

function memory(kind: 'float' | 'integer', pops: number): (e: Emit) => void {
  return (e) => {
    unpackOperand(e, kind, Slot.B);
    e.callVoid(compareMemory, e.cpu, i32(pops));
  };
}

/**
 * FCOMI and its kin: ZF, PF and CF instead of condition codes; OF, SF and AF are cleared. An unmasked exception keeps the stack from
 * being popped. The SDM leaves EFLAGS alone then, too; AMD processors set them to what the comparison gave.
 */
function toEflags(quiet: 0 | 1, pops: number): (e: Emit) => void {
  return (e) => {
    const relation = e.call(relateKeepingC1, e.cpu, i32(e.src.index), i32(quiet));
    e.flags.write(e.let(and(relation, i32(0xff))));
    if (pops > 0) e.callVoid(pop, e.cpu, e.let(shrU(and(relation, i32(DELIVERED)), i32(8))));
  };
}

/** Comparisons, FTST and FXAM (SDM Vol. 1, 8.3.6 "Comparison and Classification Instructions"). */
export const compareRows: readonly InstructionRow[] = [
  instruction('FCOM', ['D8 D0+i ST0,STi', 'DC D0+i ST0,STi alt'], registers(0, 0)),
  instruction('FCOM', ['D8 /2 Md', 'DC /2 Mq'], memory('float', 0)),
  instruction('FCOMP', ['D8 D8+i ST0,STi', 'DC D8+i ST0,STi alt', 'DE D0+i ST0,STi alt'], registers(0, 1)),
  instruction('FCOMP', ['D8 /3 Md', 'DC /3 Mq'], memory('float', 1)),
  instruction('FCOMPP', ['DE D9'], (e) => e.callVoid(compareRegisters, e.cpu, i32(1), i32(0), i32(2))),
  instruction('FUCOM', ['DD E0+i ST0,STi'], registers(1, 0)),
  instruction('FUCOMP', ['DD E8+i ST0,STi'], registers(1, 1)),
  instruction('FUCOMPP', ['DA E9'], (e) => e.callVoid(compareRegisters, e.cpu, i32(1), i32(1), i32(2))),
  instruction('FICOM', ['DA /2 Md', 'DE /2 Mw'], memory('integer', 0)),
  instruction('FICOMP', ['DA /3 Md', 'DE /3 Mw'], memory('integer', 1)),
  instruction('FCOMI', ['DB F0+i ST0,STi'], toEflags(0, 0), { features: ['FPU', 'CMOV'] }),
  instruction('FCOMIP', ['DF F0+i ST0,STi'], toEflags(0, 1), { features: ['FPU', 'CMOV'] }),
  instruction('FUCOMI', ['DB E8+i ST0,STi'], toEflags(1, 0), { features: ['FPU', 'CMOV'] }),
  instruction('FUCOMIP', ['DF E8+i ST0,STi'], toEflags(1, 1), { features: ['FPU', 'CMOV'] }),
  instruction('FTST', ['D9 E4'], (e) => {
    e.callVoid(zeroSlotB, e.cpu);
    e.callVoid(compareMemory, e.cpu, i32(0));
  }),
  instruction('FXAM', ['D9 E5'], (e) => e.callVoid(examine, e.cpu)),
];
