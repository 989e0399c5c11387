import { and, eqz, i32, i64, type Local, load, or, xor } from '@minusone/wasm';
import { type Subroutine, subroutine } from '../../semantics/subroutine.ts';
import { type InstructionRow, instruction } from '../../table/row.ts';
import { free, isEmpty, moveTop, pop, raise, registerAddress, STACK_FAULT, underflow, writeRegister } from './stack.ts';

/** (cpu, i): swaps ST(0) and ST(i). Empty ones are filled with NaNs first, if stack underflow is masked. */
const exchange: Subroutine = subroutine('x87.exchange', { params: ['i32', 'i32'], results: [] }, (f, link) => {
  const [cpu, i] = f.params as [Local, Local];
  const firstEmpty = f.let(f.call(link(isEmpty), cpu, i32(0)));
  const secondEmpty = f.let(f.call(link(isEmpty), cpu, i));
  f.if(
    or(firstEmpty, secondEmpty),
    () => {
      f.if(eqz(f.call(link(raise), cpu, i32(STACK_FAULT), i32(0))), () => f.return());
      f.if(firstEmpty, () => f.callVoid(link(writeRegister), cpu, i32(0), i64(3n << 62n), i32(0xffff)));
      f.if(secondEmpty, () => f.callVoid(link(writeRegister), cpu, i, i64(3n << 62n), i32(0xffff)));
    },
    () => f.drop(f.call(link(raise), cpu, i32(0), i32(0))),
  );
  const first = f.let(f.call(link(registerAddress), cpu, i32(0)));
  const second = f.let(f.call(link(registerAddress), cpu, i));
  const significand = f.let(load('i64', first));
  const signExponent = f.let(load('i32', first, { offset: 8, bytes: 2 }));
  f.store(first, load('i64', second));
  f.store(first, load('i32', second, { offset: 8, bytes: 2 }), { offset: 8, bytes: 2 });
  f.store(second, significand);
  f.store(second, signExponent, { offset: 8, bytes: 2 });
});

/** (cpu, i, condition): ST(0) = ST(i) where the condition holds. An empty one of the two is stack underflow in any case. */
const moveIf: Subroutine = subroutine('x87.moveIf', { params: ['i32', 'i32', 'i32'], results: [] }, (f, link) => {
  const [cpu, i, condition] = f.params as [Local, Local, Local];
  f.if(or(f.call(link(isEmpty), cpu, i32(0)), f.call(link(isEmpty), cpu, i)), () => {
    f.drop(f.call(link(underflow), cpu, i32(0)));
    f.return();
  });
  f.if(condition, () => {
    const from = f.let(f.call(link(registerAddress), cpu, i));
    f.callVoid(link(writeRegister), cpu, i32(0), load('i64', from), load('i32', from, { offset: 8, bytes: 2 }));
  });
});

/** (cpu, keep, flip): sign of ST(0) = its sign & keep ^ flip, as bits of the sign and exponent. */
const changeSign: Subroutine = subroutine('x87.changeSign', { params: ['i32', 'i32', 'i32'], results: [] }, (f, link) => {
  const [cpu, keep, flip] = f.params as [Local, Local, Local];
  f.if(f.call(link(isEmpty), cpu, i32(0)), () => {
    f.drop(f.call(link(underflow), cpu, i32(0)));
    f.return();
  });
  f.drop(f.call(link(raise), cpu, i32(0), i32(0)));
  const address = f.let(f.call(link(registerAddress), cpu, i32(0)));
  f.store(address, xor(and(load('i32', address, { offset: 8, bytes: 2 }), keep), flip), { offset: 8, bytes: 2 });
});

/** (cpu, by): FINCSTP, FDECSTP: C1 is cleared. */
const rotateStack: Subroutine = subroutine('x87.rotateStack', { params: ['i32', 'i32'], results: [] }, (f, link) => {
  const [cpu, by] = f.params as [Local, Local];
  f.drop(f.call(link(raise), cpu, i32(0), i32(0)));
  f.callVoid(link(moveTop), cpu, by);
});

/** (cpu, i, pops): marks ST(i) empty, then pops. C1 is undefined in the manual; here it is cleared. */
const freeRegister: Subroutine = subroutine('x87.freeRegister', { params: ['i32', 'i32', 'i32'], results: [] }, (f, link) => {
  const [cpu, i, pops] = f.params as [Local, Local, Local];
  f.drop(f.call(link(raise), cpu, i32(0), i32(0)));
  f.callVoid(link(free), cpu, i);
  f.callVoid(link(pop), cpu, pops);
});

/** (cpu, i): FSTPNCE, "no check for exceptions": moves ST(0) to ST(i) unless it is empty, and pops. */
const moveUnchecked: Subroutine = subroutine('x87.moveUnchecked', { params: ['i32', 'i32'], results: [] }, (f, link) => {
  const [cpu, i] = f.params as [Local, Local];
  f.drop(f.call(link(raise), cpu, i32(0), i32(0)));
  f.if(eqz(f.call(link(isEmpty), cpu, i32(0))), () => {
    const from = f.let(f.call(link(registerAddress), cpu, i32(0)));
    f.callVoid(link(writeRegister), cpu, i, load('i64', from), load('i32', from, { offset: 8, bytes: 2 }));
  });
  f.callVoid(link(pop), cpu, i32(1));
});

/** FCMOVcc by condition number (SDM Vol. 2A, FCMOVcc): below, equal, below or equal, unordered, and their opposites. */
const CONDITIONAL_MOVES = [
  ['FCMOVB', 'DA C0', 0x2],
  ['FCMOVE', 'DA C8', 0x4],
  ['FCMOVBE', 'DA D0', 0x6],
  ['FCMOVU', 'DA D8', 0xa],
  ['FCMOVNB', 'DB C0', 0x3],
  ['FCMOVNE', 'DB C8', 0x5],
  ['FCMOVNBE', 'DB D0', 0x7],
  ['FCMOVNU', 'DB D8', 0xb],
] as const;

/** What moves numbers within the stack, or the stack itself (SDM Vol. 1, 8.3.3, 8.3.5 and 8.3.11). */
export const moveRows: readonly InstructionRow[] = [
  instruction('FXCH', ['D9 C8+i STi', 'DD C8+i STi alt', 'DF C8+i STi alt'], (e) => e.callVoid(exchange, e.cpu, i32(e.dst.index))),
  ...CONDITIONAL_MOVES.map(([mnemonic, opcode, cc]) =>
    instruction(mnemonic, [`${opcode}+i ST0,STi`], (e) => e.callVoid(moveIf, e.cpu, i32(e.src.index), e.flags.condition(cc)), {
      features: ['FPU', 'CMOV'],
    }),
  ),
  instruction('FCHS', ['D9 E0'], (e) => e.callVoid(changeSign, e.cpu, i32(0xffff), i32(0x8000))),
  instruction('FABS', ['D9 E1'], (e) => e.callVoid(changeSign, e.cpu, i32(0x7fff), i32(0))),
  instruction('FDECSTP', ['D9 F6'], (e) => e.callVoid(rotateStack, e.cpu, i32(7))),
  instruction('FINCSTP', ['D9 F7'], (e) => e.callVoid(rotateStack, e.cpu, i32(1))),
  instruction('FFREE', ['DD C0+i STi'], (e) => e.callVoid(freeRegister, e.cpu, i32(e.dst.index), i32(0))),
  instruction('FFREEP', ['DF C0+i STi'], (e) => e.callVoid(freeRegister, e.cpu, i32(e.dst.index), i32(1))),
  instruction('FSTPNCE', ['D9 D8+i STi'], (e) => e.callVoid(moveUnchecked, e.cpu, i32(e.dst.index))),
  instruction('FNOP', ['D9 D0'], () => {}),
];
