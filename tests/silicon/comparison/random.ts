/** A generator of random numbers that gives the same sequence for the same seed everywhere: xorshift32 after a mix of the seed. No allocation. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = 0;
    this.reseed(seed);
  }
  /** Starts again. */
  reseed(seed: number): void {
    let h = (seed + 0x9e3779b9) | 0;
    h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
    h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
    this.#state = (h ^ (h >>> 16)) >>> 0 || 1;
  }
  /** 32 bits, signed. */
  int(): number {
    let x = this.#state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x;
    // The low bits of a bare xorshift are weak: they are folded in.
    return Math.imul(x, 0x2545f491) ^ (x >>> 15);
  }
  /** 0 to n - 1; n at most 2^16. */
  below(n: number): number {
    return Math.floor(((this.int() >>> 8) / 0x1000000) * n);
  }
  /** True in `percent` of all cases. */
  chance(percent: number): boolean {
    return this.below(100) < percent;
  }
  pick<T>(from: readonly T[]): T {
    return from[this.below(from.length)] as T;
  }
}
