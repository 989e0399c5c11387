import { sub } from '@minusone/wasm';
import { type InstructionRow, instruction } from '../../table/row.ts';

/** String instructions (SDM Vol. 1, 7.3.9): the body is one iteration; `e.string` does the rest. */
export const stringRows: readonly InstructionRow[] = [
  instruction('MOVS{size}', ['A4 Yb,Xb rep', 'A5 Yv,Xv rep'], (e) => e.string(() => e.dst.write(e.src.read()), 'move')),
  /** CMPS compares the source (DS:rSI, the first operand) with the destination (ES:rDI), which is read first, as on AMD's processors. */
  instruction('CMPS{size}', ['A6 Xb,Yb repz', 'A7 Xv,Yv repz'], (e) =>
    e.string(() => {
      const b = e.src.read();
      const a = e.dst.read();
      e.flags.sub(e.dst.bytes, a, b, e.let(sub(a, b)));
    }),
  ),
  instruction('STOS{size}', ['AA Yb,AL rep', 'AB Yv,rAX rep'], (e) => e.string(() => e.dst.write(e.src.read()), 'fill')),
  instruction('LODS{size}', ['AC AL,Xb rep', 'AD rAX,Xv rep'], (e) => e.string(() => e.dst.write(e.src.read()))),
  instruction('SCAS{size}', ['AE AL,Yb repz', 'AF rAX,Yv repz'], (e) =>
    e.string(() => {
      const a = e.dst.read();
      const b = e.src.read();
      e.flags.sub(e.dst.bytes, a, b, e.let(sub(a, b)));
    }),
  ),
];
