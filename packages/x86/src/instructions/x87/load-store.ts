import { and, eqz, extendS, i32, i64, type Local, load, or, select, shl, shrU, sub, xor } from '@minusone/wasm';
import type { Emit, Value } from '../../semantics/emit.ts';
import { type Subroutine, subroutine } from '../../semantics/subroutine.ts';
import { Control, controlOfFcw, Format } from '../../softfloat/control.ts';
import { convert } from '../../softfloat/convert.ts';
import { FLAGS_OFFSET, Flag } from '../../softfloat/flags.ts';
import { toInteger } from '../../softfloat/integral.ts';
import { pack32, pack64 } from '../../softfloat/pack.ts';
import { Place, readPlace, Slot, writePlace } from '../../softfloat/scratch.ts';
import { writeDefaultNan } from '../../softfloat/special.ts';
import { State } from '../../state/layout.ts';
import { type InstructionRow, instruction } from '../../table/row.ts';
import { unpackOperand } from './memory-operands.ts';
import {
  isEmpty,
  moveTop,
  pop,
  pushBits,
  pushResult,
  raise,
  readFcw,
  registerAddress,
  STACK_FAULT,
  underflow,
  unpackStack,
  writeRegister,
} from './stack.ts';

/** Significand of the default NaN. */
const INDEFINITE = i64(3n << 62n);

/** (cpu): pushes slot A, which comes from memory, with IE for a signalling NaN and DE. */
const pushConverted: Subroutine = subroutine('x87.pushConverted', { params: ['i32'], results: [] }, (f, link) => {
  const [cpu] = f.params as [Local];
  f.callVoid(link(pushResult), cpu, f.call(link(convert), cpu, i32(Format.X80 | Control.UM | Control.OM)));
});

/** (cpu, i): pushes ST(i). An empty one is stack underflow, answered by a pushed NaN. */
const pushRegister: Subroutine = subroutine('x87.pushRegister', { params: ['i32', 'i32'], results: [] }, (f, link) => {
  const [cpu, i] = f.params as [Local, Local];
  f.if(f.call(link(isEmpty), cpu, i), () => {
    f.if(f.call(link(raise), cpu, i32(STACK_FAULT), i32(0)), () => {
      f.callVoid(link(moveTop), cpu, i32(7));
      f.callVoid(link(writeRegister), cpu, i32(0), INDEFINITE, i32(0xffff));
    });
    f.return();
  });
  const address = f.let(f.call(link(registerAddress), cpu, i));
  const significand = f.let(load('i64', address));
  const signExponent = f.let(load('i32', address, { offset: 8, bytes: 2 }));
  f.callVoid(link(pushBits), cpu, significand, signExponent);
});

/** Where a store leaves its flags (with SF) until memory has been written. */
const FLAGS: number = State.scratch + FLAGS_OFFSET;

/** (cpu, flags, veto) -> 1 where memory is to be written: no flag of `veto` is raised and unmasked. Where it is not, neither is the result inexact. */
export const mayStore: Subroutine = subroutine('x87.mayStore', { params: ['i32', 'i32', 'i32'], results: ['i32'] }, (f) => {
  const [cpu, flags, veto] = f.params as [Local, Local, Local];
  const allowed = f.let(eqz(and(and(flags, veto), xor(readFcw(f, cpu), i32(-1)))));
  f.store(cpu, select(allowed, flags, and(flags, i32(~Flag.PE))), { offset: FLAGS });
  f.if(eqz(allowed), () => writePlace(f, cpu, Place.ROUNDED_UP, i32(0)));
  f.return(allowed);
});

/** (cpu, stored, pops): after the store, or where there was none: the status word, and the pops that only a store has. */
export const finishStore: Subroutine = subroutine('x87.finishStore', { params: ['i32', 'i32', 'i32'], results: [] }, (f, link) => {
  const [cpu, stored, pops] = f.params as [Local, Local, Local];
  const flags = load('i32', cpu, { offset: FLAGS });
  f.drop(f.call(link(raise), cpu, flags, readPlace(f, cpu, Place.ROUNDED_UP, 'i32')));
  f.if(stored, () => f.callVoid(link(pop), cpu, pops));
});

/** (cpu, format) -> 1 where it may be stored: R = ST(0) in a memory format. No DE (SDM Vol. 2A, FST). */
const convertForStore: Subroutine = subroutine('x87.convertForStore', { params: ['i32', 'i32'], results: ['i32'] }, (f, link) => {
  const [cpu, format] = f.params as [Local, Local];
  const veto = i32(Flag.IE | Flag.OE | Flag.UE);
  f.if(f.call(link(isEmpty), cpu, i32(0)), () => {
    f.callVoid(link(resultIndefinite), cpu);
    f.return(f.call(link(mayStore), cpu, i32(STACK_FAULT), veto));
  });
  unpackStack(f, link, cpu, Slot.A, i32(0));
  const flags = f.call(link(convert), cpu, or(controlOfFcw(readFcw(f, cpu), 0), format));
  f.return(f.call(link(mayStore), cpu, and(flags, i32(~Flag.DE)), veto));
});

/** (cpu): R = the default NaN. */
const resultIndefinite: Subroutine = subroutine('x87.resultIndefinite', { params: ['i32'], results: [] }, (f) => {
  writeDefaultNan(f, f.params[0] as Local);
});

/** (cpu, bits, truncate) -> 1 where it may be stored: Place.EXTRA = ST(0) as an integer. */
const integerForStore: Subroutine = subroutine('x87.integerForStore', { params: ['i32', 'i32', 'i32'], results: ['i32'] }, (f, link) => {
  const [cpu, bits, truncate] = f.params as [Local, Local, Local];
  const veto = i32(Flag.IE);
  f.if(f.call(link(isEmpty), cpu, i32(0)), () => {
    writePlace(f, cpu, Place.EXTRA, shl(i64(-1), extendS(sub(bits, i32(1)))));
    writePlace(f, cpu, Place.ROUNDED_UP, i32(0));
    f.return(f.call(link(mayStore), cpu, i32(STACK_FAULT), veto));
  });
  unpackStack(f, link, cpu, Slot.A, i32(0));
  const rc = select(truncate, i32(3), and(shrU(readFcw(f, cpu), i32(10)), i32(3)));
  const flags = f.call(link(toInteger), cpu, rc, bits);
  f.return(f.call(link(mayStore), cpu, flags, veto));
});

/** (cpu) -> 1 where it may be stored: Place.EXTRA and EXTRA_HIGH = ST(0) as it is, or the default NaN. */
const extendedForStore: Subroutine = subroutine('x87.extendedForStore', { params: ['i32'], results: ['i32'] }, (f, link) => {
  const [cpu] = f.params as [Local];
  writePlace(f, cpu, Place.ROUNDED_UP, i32(0));
  f.if(f.call(link(isEmpty), cpu, i32(0)), () => {
    writePlace(f, cpu, Place.EXTRA, INDEFINITE);
    writePlace(f, cpu, Place.EXTRA_HIGH, i32(0xffff));
    f.return(f.call(link(mayStore), cpu, i32(STACK_FAULT), i32(Flag.IE)));
  });
  const address = f.let(f.call(link(registerAddress), cpu, i32(0)));
  writePlace(f, cpu, Place.EXTRA, load('i64', address));
  writePlace(f, cpu, Place.EXTRA_HIGH, load('i32', address, { offset: 8, bytes: 2 }));
  f.return(f.call(link(mayStore), cpu, i32(0), i32(0)));
});

/** (cpu, i, pops): ST(i) = ST(0). */
const storeRegister: Subroutine = subroutine('x87.storeRegister', { params: ['i32', 'i32', 'i32'], results: [] }, (f, link) => {
  const [cpu, i, pops] = f.params as [Local, Local, Local];
  f.if(f.call(link(isEmpty), cpu, i32(0)), () => {
    f.if(f.call(link(underflow), cpu, i), () => f.callVoid(link(pop), cpu, pops));
    f.return();
  });
  f.drop(f.call(link(raise), cpu, i32(0), i32(0)));
  const address = f.let(f.call(link(registerAddress), cpu, i32(0)));
  f.callVoid(link(writeRegister), cpu, i, load('i64', address), load('i32', address, { offset: 8, bytes: 2 }));
  f.callVoid(link(pop), cpu, pops);
});

/** The value at a place of the scratch, now. */
const place = (e: Emit, offset: number, type: 'i32' | 'i64'): Value => e.let(load(type, e.cpu, { offset: State.scratch + offset }));

/** Stores to the memory operand what the condition allows, then settles the status word and pops. */
function storeAndFinish(e: Emit, stored: Value, store: () => void, pops: number): void {
  e.if(stored, store);
  e.callVoid(finishStore, e.cpu, stored, i32(pops));
}

function storeFloat(pops: number): (e: Emit) => void {
  return (e) => {
    const isSingle = e.dst.bytes === 4;
    claim(e);
    const stored = e.call(convertForStore, e.cpu, i32(isSingle ? Format.BINARY32 : Format.BINARY64));
    storeAndFinish(e, stored, () => e.dst.write(e.call(isSingle ? pack32 : pack64, e.cpu)), pops);
  };
}

function storeInteger(pops: number, truncate: 0 | 1): (e: Emit) => void {
  return (e) => {
    const { bytes } = e.dst;
    claim(e);
    const stored = e.call(integerForStore, e.cpu, i32(bytes * 8), i32(truncate));
    storeAndFinish(e, stored, () => e.dst.write(place(e, Place.EXTRA, bytes === 8 ? 'i64' : 'i32')), pops);
  };
}

/**
 * Makes sure that the operand can be written: a fault comes before anything happens, also where an unmasked exception will keep it from being written.
 */
function claim(e: Emit): void {
  e.probeWrite(e.dst.segment, e.dst.offset, e.dst.bytes);
}

/** Claims the ten bytes of the operand, as eight and two; what it returns stores them. */
export function claimTenBytes(e: Emit): (low: Value, high: Value) => void {
  const first = e.dst.part(0, 8);
  const second = e.dst.part(8, 2);
  e.probeWrite(first.segment, first.offset, 8);
  e.probeWrite(second.segment, second.offset, 2);
  return (low, high) => {
    e.store(first.segment, first.offset, low, 8);
    e.store(second.segment, second.offset, high, 2);
  };
}

function storeExtended(e: Emit): void {
  const storeTenBytes = claimTenBytes(e);
  const stored = e.call(extendedForStore, e.cpu);
  const low = place(e, Place.EXTRA, 'i64');
  const high = place(e, Place.EXTRA_HIGH, 'i32');
  storeAndFinish(e, stored, () => storeTenBytes(low, high), 1);
}

/** FLD, FST, FSTP, FILD, FIST, FISTP and FISTTP (SDM Vol. 1, 8.3.3 "Data Transfer Instructions"). */
export const loadStoreRows: readonly InstructionRow[] = [
  instruction('FLD', ['D9 /0 Md', 'DD /0 Mq'], (e) => {
    unpackOperand(e, 'float', Slot.A);
    e.callVoid(pushConverted, e.cpu);
  }),
  instruction('FLD', ['DB /5 Mt'], (e) => {
    const significand = e.let(e.dst.part(0, 8).read());
    const signExponent = e.let(e.dst.part(8, 2).read());
    e.callVoid(pushBits, e.cpu, significand, signExponent);
  }),
  instruction('FLD', ['D9 C0+i STi'], (e) => e.callVoid(pushRegister, e.cpu, i32(e.dst.index))),
  instruction('FILD', ['DF /0 Mw', 'DB /0 Md', 'DF /5 Mq'], (e) => {
    unpackOperand(e, 'integer', Slot.A);
    e.callVoid(pushConverted, e.cpu);
  }),
  instruction('FST', ['D9 /2 Md', 'DD /2 Mq'], storeFloat(0)),
  instruction('FSTP', ['D9 /3 Md', 'DD /3 Mq'], storeFloat(1)),
  instruction('FSTP', ['DB /7 Mt'], storeExtended),
  instruction('FST', ['DD D0+i STi'], (e) => e.callVoid(storeRegister, e.cpu, i32(e.dst.index), i32(0))),
  instruction('FSTP', ['DD D8+i STi', 'DF D0+i STi alt', 'DF D8+i STi alt'], (e) =>
    e.callVoid(storeRegister, e.cpu, i32(e.dst.index), i32(1)),
  ),
  instruction('FIST', ['DF /2 Mw', 'DB /2 Md'], storeInteger(0, 0)),
  instruction('FISTP', ['DF /3 Mw', 'DB /3 Md', 'DF /7 Mq'], storeInteger(1, 0)),
  instruction('FISTTP', ['DF /1 Mw', 'DB /1 Md', 'DD /1 Mq'], storeInteger(1, 1), { features: ['FPU', 'SSE3'] }),
];
