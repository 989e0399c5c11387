import { add, and, divU, eqz, gtU, i32, mul, or, remU, select, shl, shrU, sub } from '@minusone/wasm';
import { Vector } from '../../cpu/fault.ts';
import type { Emit } from '../../semantics/emit.ts';
import { Gpr } from '../../state/layout.ts';
import { type InstructionRow, instruction } from '../../table/row.ts';

/** AAA and AAS: AL's low digit above 9 (or AF) carries into AH. Newer processors adjust AX as one number (SDM Vol. 2A, AAA). */
function asciiAdjust(e: Emit, operation: typeof add): void {
  const ax = e.gpr(Gpr.RAX, 2);
  const old = ax.read();
  const adjust = e.let(or(gtU(and(old, i32(15)), i32(9)), e.flags.get('af')));
  const adjusted = e.let(and(select(adjust, operation(old, i32(0x106)), old), i32(0xff0f)));
  ax.write(adjusted);
  e.flags.result(1, adjusted, { cf: adjust, of: i32(0), af: adjust });
}

/** DAA and DAS (SDM Vol. 2A): decimal adjust of a packed byte. */
function decimalAdjust(e: Emit, operation: typeof add): void {
  const al = e.gpr(Gpr.RAX, 1);
  const old = al.read();
  const carry = e.flags.get('cf');
  const low = e.let(or(gtU(and(old, i32(15)), i32(9)), e.flags.get('af')));
  const high = e.let(or(gtU(old, i32(0x99)), carry));
  const once = e.let(select(low, operation(old, i32(6)), old));
  const borrow = operation === sub ? and(low, shrU(once, i32(31))) : i32(0);
  const result = e.let(and(select(high, operation(once, i32(0x60)), once), i32(0xff)));
  al.write(result);
  e.flags.result(1, result, { cf: or(high, borrow), of: i32(0), af: low });
}

const undefinedAfterAscii = { undefinedFlags: ['OF', 'SF', 'ZF', 'PF'] } as const;

/** Decimal arithmetic (SDM Vol. 1, 7.3.3): none in 64-bit mode. */
export const decimalRows: readonly InstructionRow[] = [
  instruction('AAA', ['37 i64'], (e) => asciiAdjust(e, add), undefinedAfterAscii),
  instruction('AAS', ['3F i64'], (e) => asciiAdjust(e, sub), undefinedAfterAscii),
  instruction('DAA', ['27 i64'], (e) => decimalAdjust(e, add), { undefinedFlags: ['OF'] }),
  instruction('DAS', ['2F i64'], (e) => decimalAdjust(e, sub), { undefinedFlags: ['OF'] }),
  instruction(
    'AAM',
    ['D4 Ib i64'],
    (e) => {
      const base = and(e.dst.read(), i32(0xff));
      e.raise(Vector.DE, undefined, eqz(base));
      const al = e.gpr(Gpr.RAX, 1).read();
      const low = e.let(remU(al, base));
      e.gpr(Gpr.RAX, 2).write(or(shl(divU(al, base), i32(8)), low));
      e.flags.result(1, low, { cf: i32(0), of: i32(0) });
    },
    { undefinedFlags: ['OF', 'AF', 'CF'] },
  ),
  instruction(
    'AAD',
    ['D5 Ib i64'],
    (e) => {
      const base = and(e.dst.read(), i32(0xff));
      const low = e.let(and(add(e.gpr(Gpr.RAX, 1).read(), mul(e.ah.read(), base)), i32(0xff)));
      e.gpr(Gpr.RAX, 2).write(low);
      e.flags.result(1, low, { cf: i32(0), of: i32(0) });
    },
    { undefinedFlags: ['OF', 'AF', 'CF'] },
  ),
];
