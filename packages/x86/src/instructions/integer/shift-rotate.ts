import { and, extendU, i32, i64, or, remU, rotl, rotr, shl, shrS, shrU, sub, wrap, xor } from '@minusone/wasm';
import type { Emit, Value } from '../../semantics/emit.ts';
import { type InstructionRow, instruction } from '../../table/row.ts';
import { constant, mask, narrow, signBit, widen } from './values.ts';

/** The forms of group 2 (SDM Vol. 2D, Table A-6): by 1, by CL, by an immediate. */
function groupTwo(digit: number, alternative = false): string[] {
  const suffix = alternative ? ' alt' : '';
  return [
    `C0 /${digit} Eb,Ib${suffix}`,
    `C1 /${digit} Ev,Ib${suffix}`,
    `D0 /${digit} Eb,1${suffix}`,
    `D1 /${digit} Ev,1${suffix}`,
    `D2 /${digit} Eb,CL${suffix}`,
    `D3 /${digit} Ev,CL${suffix}`,
  ];
}

/** The count operand masked to 5 bits, or 6 for 64-bit operands (SDM Vol. 2B, SAL/SAR/SHL/SHR), as i32. */
function maskedCount(e: Emit, bytes: number, operand: typeof e.src): Value {
  return e.let(and(narrow(operand.bytes, operand.read()), i32(bytes === 8 ? 63 : 31)));
}

/** One bit of a value, as i32. */
const bit = (bytes: number, x: Value, n: Value): Value => and(narrow(bytes, shrU(x, n)), i32(1));

/** A shift. A count of zero leaves the flags alone, but still writes the destination. */
function shift(e: Emit, kind: 'SHL' | 'SHR' | 'SAR'): void {
  const { bytes } = e.dst;
  const bits = bytes * 8;
  const a = e.dst.readForWrite();
  const count = maskedCount(e, bytes, e.src);
  const amount = widen(bytes, count);
  const one = constant(bytes, 1);
  if (kind === 'SHL') {
    const result = e.let(shl(a, amount));
    e.dst.write(result);
    e.if(count, () => {
      const cf = e.let(bytes === 8 ? bit(8, a, sub(i64(64), amount)) : and(wrap(shrU(shl(extendU(a), extendU(count)), i64(bits))), i32(1)));
      e.flags.result(bytes, result, { cf, of: xor(signBit(bytes, result), cf) });
    });
    return;
  }
  const source = kind === 'SHR' ? a : bytes < 4 ? e.let(shrS(shl(a, i32(32 - bits)), i32(32 - bits))) : a;
  const move = kind === 'SHR' ? shrU : shrS;
  const result = e.let(mask(bytes, move(source, amount)));
  e.dst.write(result);
  e.if(count, () => {
    const cf = and(narrow(bytes, move(source, sub(amount, one))), i32(1));
    e.flags.result(bytes, result, { cf, of: kind === 'SHR' ? signBit(bytes, a) : i32(0) });
  });
}

/** ROL and ROR: CF is the bit that moved around; OF is defined for a count of 1, and computed alike for all. */
function rotate(e: Emit, left: boolean): void {
  const { bytes } = e.dst;
  const bits = bytes * 8;
  const a = e.dst.readForWrite();
  const count = maskedCount(e, bytes, e.src);
  let result: Value;
  if (bytes >= 4) result = e.let((left ? rotl : rotr)(a, widen(bytes, count)));
  else {
    const turn = and(count, i32(bits - 1));
    const other = and(sub(i32(bits), count), i32(bits - 1));
    result = e.let(mask(bytes, left ? or(shl(a, turn), shrU(a, other)) : or(shrU(a, turn), shl(a, other))));
  }
  e.dst.write(result);
  e.if(count, () => {
    const top = e.let(signBit(bytes, result));
    if (left) {
      const cf = e.let(and(narrow(bytes, result), i32(1)));
      e.flags.set({ cf, of: xor(top, cf) });
    } else e.flags.set({ cf: top, of: xor(top, bit(bytes, result, constant(bytes, bits - 2))) });
  });
}

/** RCL and RCR rotate one bit more than the operand has: CF is the extra one. */
function rotateThroughCarry(e: Emit, left: boolean): void {
  const { bytes } = e.dst;
  const bits = bytes * 8;
  const a = e.dst.readForWrite();
  const masked = maskedCount(e, bytes, e.src);
  const cfIn = e.flags.get('cf');
  const count = bytes < 4 ? e.let(remU(masked, i32(bits + 1))) : masked;
  let result: Value;
  let cfOut: Value;
  if (bytes === 8) {
    const n = e.let(extendU(count));
    const carry = extendU(cfIn);
    // For a count of zero this is not used.
    const back = e.let(sub(i64(64), n));
    const rotated = left
      ? or(or(shl(a, n), shl(carry, sub(n, i64(1)))), shrU(shrU(a, back), i64(1)))
      : or(or(shrU(a, n), shl(carry, back)), shl(shl(a, back), i64(1)));
    result = e.ifValue(
      count,
      () => rotated,
      () => a,
    );
    cfOut = e.let(left ? bit(8, a, back) : bit(8, a, sub(n, i64(1))));
  } else {
    const n = extendU(count);
    const whole = e.let(or(extendU(a), shl(extendU(cfIn), i64(bits))));
    const back = sub(i64(bits + 1), n);
    const turned = e.let(left ? or(shl(whole, n), shrU(whole, back)) : or(shrU(whole, n), shl(whole, back)));
    result = e.let(mask(bytes, wrap(turned)));
    cfOut = e.let(and(wrap(shrU(turned, i64(bits))), i32(1)));
  }
  e.dst.write(result);
  e.if(count, () => {
    const top = signBit(bytes, result);
    e.flags.set({ cf: cfOut, of: left ? xor(top, cfOut) : xor(top, bit(bytes, result, constant(bytes, bits - 2))) });
  });
}

/** SHLD and SHRD (SDM Vol. 2B): the second operand's bits move in. A 16-bit count above 16 is undefined. */
function doubleShift(e: Emit, left: boolean): void {
  const { bytes } = e.dst;
  const a = e.dst.readForWrite();
  const b = e.src.read();
  const count = maskedCount(e, bytes, e.src2);
  let result: Value;
  let cf: Value;
  if (bytes === 8) {
    const n = e.let(extendU(count));
    const back = e.let(sub(i64(64), n));
    result = e.ifValue(
      count,
      () => (left ? or(shl(a, n), shrU(b, back)) : or(shrU(a, n), shl(b, back))),
      () => a,
    );
    cf = left ? bit(8, a, back) : bit(8, a, sub(n, i64(1)));
  } else {
    const n = extendU(count);
    const high = extendU(left ? a : b);
    const low = extendU(left ? b : a);
    // 16-bit: processors rotate the pair, so that counts beyond 16 take bits of the first operand again.
    const pair = e.let(bytes === 4 ? or(shl(high, i64(32)), low) : or(or(shl(extendU(a), i64(32)), shl(extendU(b), i64(16))), extendU(a)));
    if (bytes === 4) {
      result = e.let(left ? wrap(shrU(shl(pair, n), i64(32))) : wrap(shrU(pair, n)));
      cf = left ? bit(8, extendU(a), sub(i64(32), n)) : bit(8, extendU(a), sub(n, i64(1)));
    } else {
      result = e.let(mask(2, left ? wrap(shrU(shl(pair, n), i64(32))) : wrap(shrU(pair, n))));
      cf = left ? and(wrap(shrU(shl(pair, n), i64(48))), i32(1)) : and(wrap(shrU(pair, sub(n, i64(1)))), i32(1));
    }
  }
  e.dst.write(result);
  e.if(count, () => {
    e.flags.result(bytes, result, { cf: e.let(cf), of: xor(signBit(bytes, result), signBit(bytes, a)) });
  });
}

const shiftOptions = { undefinedFlags: ['AF', 'OF'] } as const;
const rotateOptions = { undefinedFlags: ['OF'] } as const;
const doubleShiftOptions = { undefinedFlags: ['AF', 'OF'], undefinedForCountsAbove: 'operand-size' } as const;

/** Shifts and rotates (SDM Vol. 1, 7.3.6). */
export const shiftRotateRows: readonly InstructionRow[] = [
  instruction('ROL', groupTwo(0), (e) => rotate(e, true), rotateOptions),
  instruction('ROR', groupTwo(1), (e) => rotate(e, false), rotateOptions),
  instruction('RCL', groupTwo(2), (e) => rotateThroughCarry(e, true), rotateOptions),
  instruction('RCR', groupTwo(3), (e) => rotateThroughCarry(e, false), rotateOptions),
  instruction('SHL', groupTwo(4), (e) => shift(e, 'SHL'), shiftOptions),
  instruction('SHR', groupTwo(5), (e) => shift(e, 'SHR'), shiftOptions),
  instruction('SHL', groupTwo(6, true), (e) => shift(e, 'SHL'), shiftOptions),
  instruction('SAR', groupTwo(7), (e) => shift(e, 'SAR'), shiftOptions),
  instruction('SHLD', ['0F A4 /r Ev,Gv,Ib', '0F A5 /r Ev,Gv,CL'], (e) => doubleShift(e, true), doubleShiftOptions),
  instruction('SHRD', ['0F AC /r Ev,Gv,Ib', '0F AD /r Ev,Gv,CL'], (e) => doubleShift(e, false), doubleShiftOptions),
];
