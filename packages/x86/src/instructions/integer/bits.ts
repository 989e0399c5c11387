import { add, and, clz, ctz, eqz, i32, i64, ne, or, popcnt, shl, shrS, shrU, sub, wrap, xor } from '@minusone/wasm';
import type { Emit, Operand, Value } from '../../semantics/emit.ts';
import { type InstructionRow, instruction } from '../../table/row.ts';
import { constant, narrow, widen } from './values.ts';

const onlyCarry = { undefinedFlags: ['OF', 'SF', 'AF', 'PF'] } as const;
const onlyZero = { undefinedFlags: ['CF', 'OF', 'SF', 'AF', 'PF'] } as const;

type BitOperation = 'test' | 'set' | 'reset' | 'complement';

/**
 * The operand that holds the bit, and the bit's number in it. With memory and a register offset the bit string reaches beyond the operand:
 * the signed offset divided by the width selects the item (SDM Vol. 2A, BT).
 */
function bitPlace(e: Emit): { place: Operand; index: Value } {
  const bytes = e.dst.bytes as 2 | 4 | 8;
  const bits = bytes * 8;
  const offset = e.src.read();
  const index = e.let(and(narrow(e.src.bytes, offset), i32(bits - 1)));
  if (e.dst.kind !== 'memory' || e.src.kind === 'immediate') return { place: e.dst, index };
  const shift = bytes === 8 ? 6 : bytes === 4 ? 5 : 4;
  const scale = shift - 3;
  // The whole offset counts, also where the address is shorter.
  const signed = e.src.readSigned(bytes === 8 || e.addressBytes === 8 ? 8 : 4);
  const item = signed.type === 'i64' ? shl(shrS(signed, i64(shift)), i64(scale)) : shl(shrS(signed, i32(shift)), i32(scale));
  const displacement = e.addressBytes === 8 ? item : wrap(item);
  const moved = add(e.dst.offset, displacement);
  return { place: e.memory(e.addressBytes === 2 ? and(moved, i32(0xffff)) : moved, bytes, e.dst.segment), index };
}

function bitInstruction(operation: BitOperation): (e: Emit) => void {
  return (e) => {
    const { place, index } = bitPlace(e);
    const { bytes } = e.dst;
    const value = operation === 'test' ? place.read() : place.readForWrite();
    const at = widen(bytes, index);
    const maskBit = e.let(shl(constant(bytes, 1), at));
    const cf = e.let(and(narrow(bytes, shrU(value, at)), i32(1)));
    if (operation === 'set') place.write(or(value, maskBit));
    if (operation === 'reset') place.write(and(value, xor(maskBit, constant(bytes, -1))));
    if (operation === 'complement') place.write(xor(value, maskBit));
    e.flags.set({ cf });
  };
}

const bitRow = (mnemonic: string, register: string, digit: number, operation: BitOperation, lock: string): InstructionRow =>
  instruction(mnemonic, [`0F ${register} /r Ev,Gv${lock}`, `0F BA /${digit} Ev,Ib${lock}`], bitInstruction(operation), onlyCarry);

/** Bit and byte instructions (SDM Vol. 1, 7.3.7). */
export const bitRows: readonly InstructionRow[] = [
  bitRow('BT', 'A3', 4, 'test', ''),
  bitRow('BTS', 'AB', 5, 'set', ' lock'),
  bitRow('BTR', 'B3', 6, 'reset', ' lock'),
  bitRow('BTC', 'BB', 7, 'complement', ' lock'),
  /** BSF, BSR: with a zero source ZF is set and the destination stays (AMD APM Vol. 3; Intel since long the same). */
  instruction(
    'BSF',
    ['0F BC /r Gv,Ev'],
    (e) => {
      const source = e.src.read();
      e.if(ne(source, constant(e.src.bytes, 0)), () => e.dst.write(ctz(source)));
      e.flags.result(e.src.bytes, source, { cf: i32(0), of: i32(0) });
    },
    onlyZero,
  ),
  instruction(
    'BSR',
    ['0F BD /r Gv,Ev'],
    (e) => {
      const source = e.src.read();
      const top = source.type === 'i64' ? i64(63) : i32(31);
      e.if(ne(source, constant(e.src.bytes, 0)), () => e.dst.write(xor(clz(source), top)));
      e.flags.result(e.src.bytes, source, { cf: i32(0), of: i32(0) });
    },
    onlyZero,
  ),
  instruction(
    'POPCNT',
    ['F3 0F B8 /r Gv,Ev'],
    (e) => {
      const source = e.src.read();
      e.dst.write(popcnt(source));
      e.flags.write(shl(eqz(source), i32(6)));
    },
    { features: ['POPCNT'] },
  ),
  instruction(
    'TZCNT',
    ['F3 0F BC /r Gv,Ev'],
    (e) => {
      const { bytes } = e.src;
      const source = e.src.read();
      // A 16-bit operand gets a bit above its top, so that zero counts 16.
      const count = e.let(ctz(bytes === 2 ? or(source, i32(0x1_0000)) : source));
      e.dst.write(count);
      e.flags.result(bytes, count, { cf: eqz(source), of: i32(0) });
    },
    { features: ['BMI1'], undefinedFlags: ['OF', 'SF', 'PF', 'AF'] },
  ),
  instruction(
    'LZCNT',
    ['F3 0F BD /r Gv,Ev'],
    (e) => {
      const { bytes } = e.src;
      const source = e.src.read();
      const count = e.let(bytes === 2 ? sub(clz(source), i32(16)) : clz(source));
      e.dst.write(count);
      e.flags.result(bytes, count, { cf: eqz(source), of: i32(0) });
    },
    { features: ['LZCNT'], undefinedFlags: ['OF', 'SF', 'PF', 'AF'] },
  ),
];
