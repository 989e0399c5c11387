import { add, and, divU, extendU, geU, i32, i64, type Local, load, mul, or, remU, select, shl, shrU, sub, wrap } from '@minusone/wasm';
import { type Subroutine, subroutine } from '../../semantics/subroutine.ts';
import { Flag } from '../../softfloat/flags.ts';
import { toInteger } from '../../softfloat/integral.ts';
import { Place, readPlace, readSlot, Slot, slotPointer, writePlace, writeSlot } from '../../softfloat/scratch.ts';
import { unpackInteger } from '../../softfloat/unpack.ts';
import { State } from '../../state/layout.ts';
import { type InstructionRow, instruction } from '../../table/row.ts';
import { claimTenBytes, finishStore, mayStore } from './load-store.ts';
import { isEmpty, pushResult, readFcw, STACK_FAULT, unpackStack } from './stack.ts';

/** Packed BCD: 18 digits in nine bytes, the sign in the tenth's top bit (SDM Vol. 1, 4.7). */

const DIGITS = 18;
/** The packed BCD indefinite: FFFF C000 0000 0000 0000. */
const INDEFINITE_LOW = 3n << 62n;
const INDEFINITE_HIGH = 0xffff;

/** (cpu, low, high): pushes the number that ten bytes of BCD stand for. Digits beyond 9 are undefined in the manual; they count by their place, as on silicon. */
const loadDecimal: Subroutine = subroutine('x87.loadDecimal', { params: ['i32', 'i64', 'i32'], results: [] }, (f, link) => {
  const [cpu, low, high] = f.params as [Local, Local, Local];
  const value = f.local('i64');
  const rest = f.local('i64');
  const count = f.local('i32');
  f.set(value, extendU(add(mul(and(shrU(high, i32(4)), i32(15)), i32(10)), and(high, i32(15)))));
  f.set(rest, low);
  f.set(count, i32(16));
  f.loop((again) => {
    f.set(value, add(mul(value, i64(10)), shrU(rest, i64(60))));
    f.set(rest, shl(rest, i64(4)));
    f.set(count, sub(count, i32(1)));
    f.brIf(again, count);
  });
  f.callVoid(link(unpackInteger), slotPointer(cpu, Slot.R), value);
  writeSlot(f, cpu, Slot.R, { sign: and(shrU(high, i32(15)), i32(1)) });
  f.callVoid(link(pushResult), cpu, i32(0));
});

/** (cpu) -> 1 where it may be stored: Place.EXTRA and EXTRA_HIGH = ST(0) as packed BCD, rounded by RC. */
const decimalForStore: Subroutine = subroutine('x87.decimalForStore', { params: ['i32'], results: ['i32'] }, (f, link) => {
  const [cpu] = f.params as [Local];
  const indefinite = (flags: number): void => {
    writePlace(f, cpu, Place.EXTRA, i64(INDEFINITE_LOW));
    writePlace(f, cpu, Place.EXTRA_HIGH, i32(INDEFINITE_HIGH));
    writePlace(f, cpu, Place.ROUNDED_UP, i32(0));
    f.return(f.call(link(mayStore), cpu, i32(flags), i32(Flag.IE)));
  };
  f.if(f.call(link(isEmpty), cpu, i32(0)), () => indefinite(STACK_FAULT));
  unpackStack(f, link, cpu, Slot.A, i32(0));
  const a = readSlot(f, cpu, Slot.A);
  const flags = f.let(f.call(link(toInteger), cpu, and(shrU(readFcw(f, cpu), i32(10)), i32(3)), i32(64)));
  const value = readPlace(f, cpu, Place.EXTRA, 'i64');
  const rest = f.local('i64');
  f.set(rest, select(a.sign, sub(i64(0), value), value));
  f.if(or(and(flags, i32(Flag.IE)), geU(rest, i64(10n ** BigInt(DIGITS)))), () => indefinite(Flag.IE));
  const digits = f.local('i64');
  const count = f.local('i32');
  f.set(count, i32(16));
  f.loop((again) => {
    f.set(digits, or(shrU(digits, i64(4)), shl(remU(rest, i64(10)), i64(60))));
    f.set(rest, divU(rest, i64(10)));
    f.set(count, sub(count, i32(1)));
    f.brIf(again, count);
  });
  const last = f.let(wrap(rest));
  writePlace(f, cpu, Place.EXTRA, digits);
  writePlace(f, cpu, Place.EXTRA_HIGH, or(or(shl(a.sign, i32(15)), shl(divU(last, i32(10)), i32(4))), remU(last, i32(10))));
  f.return(f.call(link(mayStore), cpu, flags, i32(Flag.IE)));
});

/** FBLD and FBSTP (SDM Vol. 1, 8.3.3). */
export const decimalRows: readonly InstructionRow[] = [
  instruction('FBLD', ['DF /4 Mt'], (e) => {
    const low = e.let(e.dst.part(0, 8).read());
    const high = e.let(e.dst.part(8, 2).read());
    e.callVoid(loadDecimal, e.cpu, low, high);
  }),
  instruction('FBSTP', ['DF /6 Mt'], (e) => {
    const storeTenBytes = claimTenBytes(e);
    const stored = e.call(decimalForStore, e.cpu);
    const low = e.let(load('i64', e.cpu, { offset: State.scratch + Place.EXTRA }));
    const high = e.let(load('i32', e.cpu, { offset: State.scratch + Place.EXTRA_HIGH }));
    e.if(stored, () => storeTenBytes(low, high));
    e.callVoid(finishStore, e.cpu, stored, i32(1));
  }),
];
