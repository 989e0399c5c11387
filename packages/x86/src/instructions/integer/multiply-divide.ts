import {
  add,
  and,
  divU,
  eq,
  eqz,
  extendU,
  gtU,
  i32,
  i64,
  ltS,
  mul,
  ne,
  or,
  select,
  shl,
  shrS,
  shrU,
  signExtend,
  sub,
  wrap,
  xor,
} from '@minusone/wasm';
import { Vector } from '../../cpu/fault.ts';
import type { Emit, Value } from '../../semantics/emit.ts';
import { Gpr } from '../../state/layout.ts';
import { type InstructionRow, instruction } from '../../table/row.ts';
import { divideUnsigned128, multiplyHighSigned, multiplyHighUnsigned } from './wide-arithmetic.ts';

const undefinedAfterMultiply = { undefinedFlags: ['SF', 'ZF', 'AF', 'PF'] } as const;
const undefinedAfterDivide = { undefinedFlags: ['CF', 'OF', 'SF', 'ZF', 'AF', 'PF'] } as const;

/** Writes a double-width product of the one-operand forms: AX, DX:AX, EDX:EAX or RDX:RAX; CF = OF = the high half matters. */
function multiplyAccumulator(e: Emit, signed: boolean): void {
  const { bytes } = e.dst;
  const width = bytes as 1 | 2 | 4 | 8;
  const accumulator = e.gpr(Gpr.RAX, width);
  if (width === 8) {
    const a = accumulator.read();
    const b = e.dst.read();
    const low = e.let(mul(a, b));
    const high = e.call(signed ? multiplyHighSigned : multiplyHighUnsigned, a, b);
    accumulator.write(low);
    e.gpr(Gpr.RDX, 8).write(high);
    const overflow = e.let(ne(high, signed ? shrS(low, i64(63)) : i64(0)));
    e.flags.result(8, low, { cf: overflow, of: overflow });
    return;
  }
  const read = (operand: typeof accumulator): Value => (signed ? operand.readSigned(8) : extendU(operand.read()));
  const product = e.let(mul(read(accumulator), read(e.dst)));
  const low = e.let(wrap(product));
  if (width === 1) e.gpr(Gpr.RAX, 2).write(low);
  else {
    accumulator.write(low);
    e.gpr(Gpr.RDX, width).write(wrap(shrU(product, i64(width * 8))));
  }
  const fits = signed ? signExtendWidth(product, width) : and(product, i64((1n << BigInt(width * 8)) - 1n));
  const overflow = e.let(ne(product, fits));
  e.flags.result(width, low, { cf: overflow, of: overflow });
}

function signExtendWidth(x: Value, bytes: 1 | 2 | 4): Value {
  return signExtend(x, (bytes * 8) as 8 | 16 | 32);
}

/** The two- and three-operand forms of IMUL: a truncated product; CF = OF = it does not fit. */
function multiplyTruncated(e: Emit, a: typeof e.dst, b: typeof e.dst): void {
  const { bytes } = e.dst;
  if (bytes === 8) {
    const x = a.read();
    const y = b.read();
    const low = e.let(mul(x, y));
    // What fits in 32 bits has a product that fits in 64.
    const isSmall = and(eq(signExtend(x, 32), x), eq(signExtend(y, 32), y));
    const overflow = e.ifValue(
      isSmall,
      () => i32(0),
      () => ne(e.call(multiplyHighSigned, x, y), shrS(low, i64(63))),
    );
    e.dst.write(low);
    e.flags.result(8, low, { cf: overflow, of: overflow });
    return;
  }
  const product = e.let(mul(a.readSigned(8), b.readSigned(8)));
  const low = e.let(wrap(product));
  e.dst.write(low);
  const overflow = e.let(ne(product, signExtendWidth(product, bytes as 2 | 4)));
  e.flags.result(bytes, low, { cf: overflow, of: overflow });
}

/** The dividend of DIV and IDIV as i64: AX, DX:AX or EDX:EAX. */
function dividend(e: Emit, bytes: 1 | 2 | 4): Value {
  if (bytes === 1) return extendU(e.gpr(Gpr.RAX, 2).read());
  const high = extendU(e.gpr(Gpr.RDX, bytes).read());
  return e.let(or(shl(high, i64(bytes * 8)), extendU(e.gpr(Gpr.RAX, bytes).read())));
}

function writeQuotient(e: Emit, bytes: 1 | 2 | 4 | 8, quotient: Value, remainder: Value): void {
  const sized = (x: Value): Value => (bytes === 8 ? x : wrap(x));
  e.gpr(Gpr.RAX, bytes).write(sized(quotient));
  if (bytes === 1) e.ah.write(sized(remainder));
  else e.gpr(Gpr.RDX, bytes).write(sized(remainder));
}

/** |x| as an unsigned i64. */
const magnitude = (e: Emit, x: Value): Value => e.let(select(ltS(x, i64(0)), sub(i64(0), x), x));

function divideUnsigned(e: Emit): void {
  const bytes = e.dst.bytes as 1 | 2 | 4 | 8;
  if (bytes === 8) {
    const divisor = e.dst.read();
    const low = e.gpr(Gpr.RAX, 8).read();
    const high = e.gpr(Gpr.RDX, 8).read();
    // The quotient fits exactly where high < divisor; a zero divisor never does.
    e.raise(Vector.DE, undefined, eqz(gtU(divisor, high)));
    const quotient = e.call(divideUnsigned128, high, low, divisor);
    writeQuotient(e, 8, quotient, sub(low, mul(quotient, divisor)));
    return;
  }
  const divisor = e.let(extendU(e.dst.read()));
  const n = dividend(e, bytes);
  e.raise(Vector.DE, undefined, eqz(divisor));
  const quotient = e.let(divU(n, divisor));
  e.raise(Vector.DE, undefined, ne(shrU(quotient, i64(bytes * 8)), i64(0)));
  writeQuotient(e, bytes, quotient, sub(n, mul(quotient, divisor)));
}

/** IDIV: on magnitudes; the quotient is truncated toward zero and the remainder has the dividend's sign. */
function divideSigned(e: Emit): void {
  const bytes = e.dst.bytes as 1 | 2 | 4 | 8;
  const divisor = bytes === 8 ? e.dst.read() : e.let(e.dst.readSigned(8));
  let quotientMagnitude: Value;
  let remainderMagnitude: Value;
  let negativeDividend: Value;
  const d = magnitude(e, divisor);
  if (bytes === 8) {
    const low = e.gpr(Gpr.RAX, 8).read();
    const high = e.gpr(Gpr.RDX, 8).read();
    negativeDividend = e.let(ltS(high, i64(0)));
    const magnitudeLow = e.let(select(negativeDividend, sub(i64(0), low), low));
    const negatedHigh = sub(sub(i64(0), high), extendU(ne(low, i64(0))));
    const magnitudeHigh = e.let(select(negativeDividend, negatedHigh, high));
    e.raise(Vector.DE, undefined, eqz(gtU(d, magnitudeHigh)));
    quotientMagnitude = e.call(divideUnsigned128, magnitudeHigh, magnitudeLow, d);
    remainderMagnitude = e.let(sub(magnitudeLow, mul(quotientMagnitude, d)));
  } else {
    const n = e.let(bytes === 1 ? signExtend(dividend(e, 1), 16) : bytes === 2 ? signExtend(dividend(e, 2), 32) : dividend(e, 4));
    negativeDividend = e.let(ltS(n, i64(0)));
    e.raise(Vector.DE, undefined, eqz(divisor));
    const m = magnitude(e, n);
    quotientMagnitude = e.let(divU(m, d));
    remainderMagnitude = e.let(sub(m, mul(quotientMagnitude, d)));
  }
  const negativeQuotient = e.let(xor(negativeDividend, ltS(divisor, i64(0))));
  // The greatest magnitude is 2^(n-1) for a negative quotient and one less for a positive one.
  const limit = add(i64((1n << BigInt(bytes * 8 - 1)) - 1n), extendU(negativeQuotient));
  e.raise(Vector.DE, undefined, gtU(quotientMagnitude, limit));
  const signedAs = (negative: Value, x: Value): Value => select(negative, sub(i64(0), x), x);
  writeQuotient(e, bytes, signedAs(negativeQuotient, quotientMagnitude), signedAs(negativeDividend, remainderMagnitude));
}

/** Multiplication and division (SDM Vol. 1, 7.3.2.3 and 7.3.2.4). */
export const multiplyDivideRows: readonly InstructionRow[] = [
  instruction('MUL', ['F6 /4 Eb', 'F7 /4 Ev'], (e) => multiplyAccumulator(e, false), undefinedAfterMultiply),
  instruction('IMUL', ['F6 /5 Eb', 'F7 /5 Ev'], (e) => multiplyAccumulator(e, true), undefinedAfterMultiply),
  instruction('IMUL', ['0F AF /r Gv,Ev'], (e) => multiplyTruncated(e, e.dst, e.src), undefinedAfterMultiply),
  instruction('IMUL', ['69 /r Gv,Ev,Iz', '6B /r Gv,Ev,sIb'], (e) => multiplyTruncated(e, e.src, e.src2), undefinedAfterMultiply),
  instruction('DIV', ['F6 /6 Eb', 'F7 /6 Ev'], divideUnsigned, undefinedAfterDivide),
  instruction('IDIV', ['F6 /7 Eb', 'F7 /7 Ev'], divideSigned, undefinedAfterDivide),
];
