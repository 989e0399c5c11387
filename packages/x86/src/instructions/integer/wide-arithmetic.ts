import { add, and, clz, divU, type Expr, eqz, geU, i64, ltU, mul, or, shl, shrU, sub } from '@minusone/wasm';
import { type Subroutine, subroutine } from '../../semantics/subroutine.ts';

/** 128-bit products and quotients from 64-bit words, for MUL, IMUL, DIV and IDIV with 64-bit operands. */

const low32 = (x: Expr): Expr => and(x, i64(0xffff_ffffn));
const high32 = (x: Expr): Expr => shrU(x, i64(32));

/** High 64 bits of the unsigned product (schoolbook, 32-bit digits). */
export const multiplyHighUnsigned: Subroutine = subroutine('multiplyHighUnsigned', { params: ['i64', 'i64'], results: ['i64'] }, (f) => {
  const [a, b] = f.params as unknown as readonly [Expr, Expr];
  const lowLow = f.let(mul(low32(a), low32(b)));
  const middle = f.let(add(mul(high32(a), low32(b)), high32(lowLow)));
  const cross = f.let(add(mul(low32(a), high32(b)), low32(middle)));
  f.return(add(add(mul(high32(a), high32(b)), high32(middle)), high32(cross)));
});

/** High 64 bits of the signed product: the unsigned one, less each operand where the other is negative. */
export const multiplyHighSigned: Subroutine = subroutine('multiplyHighSigned', { params: ['i64', 'i64'], results: ['i64'] }, (f, link) => {
  const [a, b] = f.params as unknown as readonly [Expr, Expr];
  const unsigned = f.call(link(multiplyHighUnsigned), a, b);
  const sign = (x: Expr): Expr => sub(i64(0), shrU(x, i64(63)));
  f.return(sub(sub(unsigned, and(sign(a), b)), and(sign(b), a)));
});

/**
 * Quotient of the 128-bit unsigned number high:low by `divisor`. The caller has made sure that high < divisor, so that the quotient fits in 64 bits.
 * Knuth, The Art of Computer Programming Vol. 2, 4.3.1, algorithm D with two 32-bit digits.
 */
export const divideUnsigned128: Subroutine = subroutine('divideUnsigned128', { params: ['i64', 'i64', 'i64'], results: ['i64'] }, (f) => {
  const [high, low, divisor] = f.params as unknown as readonly [Expr, Expr, Expr];
  f.if(eqz(high), () => f.return(divU(low, divisor)));
  const shift = f.let(clz(divisor));
  const d = f.let(shl(divisor, shift));
  const dHigh = f.let(high32(d));
  const dLow = f.let(low32(d));
  // A shift by 64 is a shift by 0 in Wasm: take the bits that move up in two steps.
  const n = f.let(or(shl(high, shift), shrU(shrU(low, i64(1)), sub(i64(63), shift))));
  const rest = f.let(shl(low, shift));

  /** One digit: the greatest q with q * d <= n * 2^32 + next, and what remains. */
  const digit = (numerator: Expr, next: Expr): { q: Expr; remainder: Expr } => {
    const q = f.local('i64');
    const r = f.local('i64');
    f.set(q, divU(numerator, dHigh));
    f.set(r, sub(numerator, mul(q, dHigh)));
    f.block((done) => {
      f.loop((again) => {
        const tooBig = or(geU(q, i64(0x1_0000_0000n)), ltU(or(shl(r, i64(32)), next), mul(q, dLow)));
        f.brIf(done, eqz(tooBig));
        f.set(q, sub(q, i64(1)));
        f.set(r, add(r, dHigh));
        f.brIf(again, ltU(r, i64(0x1_0000_0000n)));
      });
    });
    return { q, remainder: f.let(sub(or(shl(numerator, i64(32)), next), mul(q, d))) };
  };
  const first = digit(n, f.let(high32(rest)));
  const second = digit(first.remainder, f.let(low32(rest)));
  f.return(or(shl(first.q, i64(32)), second.q));
});
