/** A 256-bit register (ISR, TMR, IRR): one bit a vector, eight doublewords. */
export class VectorSet {
  readonly words: Uint32Array = new Uint32Array(8);

  has(vector: number): boolean {
    return ((this.words[vector >>> 5] as number) & (1 << (vector & 31))) !== 0;
  }
  add(vector: number): void {
    this.words[vector >>> 5] = (this.words[vector >>> 5] as number) | (1 << (vector & 31));
  }
  delete(vector: number): void {
    this.words[vector >>> 5] = (this.words[vector >>> 5] as number) & ~(1 << (vector & 31));
  }
  clear(): void {
    this.words.fill(0);
  }
  /** The highest vector, or -1. */
  highest(): number {
    for (let word = 7; word >= 0; word--) {
      const bits = this.words[word] as number;
      if (bits !== 0) return word * 32 + 31 - Math.clz32(bits);
    }
    return -1;
  }
}
