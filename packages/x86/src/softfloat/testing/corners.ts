/** Numbers that find mistakes: limits, halves, neighbours, NaNs, in each format; and pseudo-random ones around them. */

/** A small generator of 32-bit numbers (xorshift), so that a failure can be run again. */
export function randomSource(seed: number): () => number {
  let x = seed | 1;
  return () => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return x >>> 0;
  };
}
type Random = () => number;

const pick = <T>(random: Random, list: readonly T[]): T => list[random() % list.length] as T;
const random64 = (random: Random): bigint => (BigInt(random()) << 32n) | BigInt(random());

/** A significand of `bits` bits: few ones, few zeros, a boundary, or anything. */
function fraction(random: Random, bits: number): bigint {
  const mask = (1n << BigInt(bits)) - 1n;
  const at = BigInt(random() % bits);
  switch (random() % 8) {
    case 0:
      return 0n;
    case 1:
      return mask;
    case 2:
      return 1n << at;
    case 3:
      return mask ^ (1n << at);
    case 4:
      return (mask << at) & mask;
    case 5:
      return mask >> at;
    case 6:
      return ((1n << at) + BigInt((random() % 5) - 2)) & mask;
    default:
      return random64(random) & mask;
  }
}

/** An exponent field: an end, around the bias, around a width, or anything. */
function exponentField(random: Random, bits: number): number {
  const greatest = (1 << bits) - 1;
  const bias = greatest >> 1;
  switch (random() % 8) {
    case 0:
      return 0;
    case 1:
      return greatest;
    case 2:
      return 1 + (random() % 3);
    case 3:
      return greatest - 1 - (random() % 3);
    case 4:
      return (
        bias +
        pick(
          random,
          [-66, -65, -64, -63, -54, -53, -52, -32, -25, -24, -23, 23, 24, 25, 31, 32, 52, 53, 54, 62, 63, 64, 65, 66].filter(
            (n) => Math.abs(n) < bias,
          ),
        )
      );
    case 5:
      return bias + (random() % 5) - 2;
    case 6:
      return (bias >> 1) + (random() % 7) - 3;
    default:
      return random() % (greatest + 1);
  }
}

export function binary32(random: Random): number {
  return Number(BigInt.asIntN(32, (BigInt(random() & 1) << 31n) | (BigInt(exponentField(random, 8)) << 23n) | fraction(random, 23)));
}
export function binary64(random: Random): bigint {
  return BigInt.asIntN(64, (BigInt(random() & 1) << 63n) | (BigInt(exponentField(random, 11)) << 52n) | fraction(random, 52));
}
/** The x87's format; now and then with a missing or superfluous integer bit. */
export function extended(random: Random): { significand: bigint; signExponent: number } {
  const field = exponentField(random, 15);
  const integerBit = random() % 16 === 0 ? BigInt(random() & 1) : field === 0 ? 0n : 1n;
  return { significand: (integerBit << 63n) | fraction(random, 63), signExponent: ((random() & 1) << 15) | field };
}
/** An exponent near another number's, so that sums cancel. */
export function near(random: Random, signExponent: number): number {
  return ((random() & 1) << 15) | Math.min(0x7fff, Math.max(0, (signExponent & 0x7fff) + (random() % 9) - 4));
}
export function integer(random: Random, bits: number): bigint {
  return BigInt.asIntN(bits, random() & 1 ? fraction(random, bits) : -fraction(random, bits));
}
