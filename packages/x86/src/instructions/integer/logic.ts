import { and, i32, i64, or, xor } from '@minusone/wasm';
import { type InstructionRow, instruction, type Semantics } from '../../table/row.ts';
import { groupOne } from './arithmetic.ts';

/** AND, OR and XOR differ in the operation alone. */
function bitwise(operation: typeof and): Semantics {
  return (e) => {
    const result = e.let(operation(e.dst.readForWrite(), e.src.read()));
    e.dst.write(result);
    e.flags.logic(e.dst.bytes, result);
  };
}

/** Bitwise logic (SDM Vol. 1, 7.3.4 "Logical Instructions"). */
export const logicRows: readonly InstructionRow[] = [
  groupOne('OR', 1, bitwise(or), 'lock'),
  groupOne('AND', 4, bitwise(and), 'lock'),
  groupOne('XOR', 6, bitwise(xor), 'lock'),
  instruction(
    'TEST',
    ['84 /r Eb,Gb', '85 /r Ev,Gv', 'A8 AL,Ib', 'A9 rAX,Iz', 'F6 /0 Eb,Ib', 'F6 /1 Eb,Ib alt', 'F7 /0 Ev,Iz', 'F7 /1 Ev,Iz alt'],
    (e) => {
      e.flags.logic(e.dst.bytes, e.let(and(e.dst.read(), e.src.read())));
    },
  ),
  /** NOT changes no flag. */
  instruction('NOT', ['F6 /2 Eb lock', 'F7 /2 Ev lock'], (e) => {
    e.dst.write(xor(e.dst.readForWrite(), e.dst.bytes === 8 ? i64(-1) : i32(-1)));
  }),
];
