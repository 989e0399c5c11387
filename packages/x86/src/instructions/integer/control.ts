import { add, and, eqz, gtS, i32, ltS, ne, or, sub, wrap } from '@minusone/wasm';
import { Vector } from '../../cpu/fault.ts';
import type { Emit, Value } from '../../semantics/emit.ts';
import { Gpr } from '../../state/layout.ts';
import { type InstructionRow, instruction } from '../../table/row.ts';
import { constant } from './values.ts';

/** LOOP, LOOPE, LOOPNE: the count register has the address size. */
function loop(e: Emit, also: Value | undefined): void {
  const counter = e.gpr(Gpr.RCX, e.addressBytes);
  const left = e.let(sub(counter.read(), constant(e.addressBytes, 1)));
  const visible = e.addressBytes === 2 ? and(left, i32(0xffff)) : left;
  const more = ne(visible, constant(e.addressBytes, 0));
  const taken = e.let(also === undefined ? more : and(more, also));
  e.if(taken, () => e.checkTarget());
  counter.write(left);
  e.branch(taken);
}

/** Pushes the return address, having made sure that the target can be reached. */
function call(e: Emit, target: Value | undefined): void {
  e.checkTarget(target);
  e.push(e.operandBytes === 8 ? e.nextIp : wrap(e.nextIp));
  if (target === undefined) e.jump();
  else e.jumpTo(target);
}

function ret(e: Emit, extra: Value | undefined): void {
  const target = e.popRead();
  e.checkTarget(target);
  e.popCommit(e.operandBytes, extra);
  e.jumpTo(target);
}

/** Near control transfer (SDM Vol. 1, 7.3.8). Far transfers are system rows. */
export const controlRows: readonly InstructionRow[] = [
  instruction(
    'JMP',
    ['E9 Jz f64', 'EB Jb f64'],
    (e) => {
      e.checkTarget();
      e.jump();
    },
    { flow: 'jump' },
  ),
  instruction(
    'JMP',
    ['FF /4 Ev f64'],
    (e) => {
      const target = e.dst.read();
      e.checkTarget(target);
      e.jumpTo(target);
    },
    { flow: 'indirect' },
  ),
  instruction(
    'J{cc}',
    ['70+cc Jb f64', '0F 80+cc Jz f64'],
    (e) => {
      const taken = e.let(e.flags.condition(e.cc));
      e.if(taken, () => e.checkTarget());
      e.branch(taken);
    },
    { flow: 'branch' },
  ),
  instruction(
    'JCXZ/JECXZ/JRCXZ',
    ['E3 Jb f64 byaddress'],
    (e) => {
      const taken = e.let(eqz(e.gpr(Gpr.RCX, e.addressBytes).read()));
      e.if(taken, () => e.checkTarget());
      e.branch(taken);
    },
    { flow: 'branch' },
  ),
  instruction('LOOPNE', ['E0 Jb f64'], (e) => loop(e, eqz(e.flags.get('zf'))), { flow: 'branch' }),
  instruction('LOOPE', ['E1 Jb f64'], (e) => loop(e, e.flags.get('zf')), { flow: 'branch' }),
  instruction('LOOP', ['E2 Jb f64'], (e) => loop(e, undefined), { flow: 'branch' }),
  instruction('CALL', ['E8 Jz f64'], (e) => call(e, undefined), { flow: 'call' }),
  instruction('CALL', ['FF /2 Ev f64'], (e) => call(e, e.dst.read()), { flow: 'indirect' }),
  instruction('RET', ['C3 f64'], (e) => ret(e, undefined), { flow: 'return' }),
  instruction('RET', ['C2 Iw f64'], (e) => ret(e, e.dst.read()), { flow: 'return' }),
  /** BOUND (SDM Vol. 2A): a signed index between two bounds in memory, #BR otherwise. */
  instruction('BOUND', ['62 /r Gv,Ma i64'], (e) => {
    const bytes = e.dst.bytes as 2 | 4;
    const signed = 4;
    const lower = e.memory(e.src.offset, bytes, e.src.segment).readSigned(signed);
    const upperOffset = add(e.src.offset, i32(bytes));
    const upper = e.memory(e.addressBytes === 2 ? and(upperOffset, i32(0xffff)) : upperOffset, bytes, e.src.segment).readSigned(signed);
    const index = e.dst.readSigned(signed);
    e.raise(Vector.BR, undefined, or(ltS(index, lower), gtS(index, upper)));
  }),
];
