/** One bit of a word, under the manual's name. */
export interface BitRow {
  readonly bit: number;
  readonly name: string;
}

/** Bits of a word by their key in code. */
export type BitTable = Readonly<Record<string, BitRow>>;

/** Where the value of a word comes from. */
export interface WordSource {
  /** Bits 31:0. */
  low(): number;
  /** The whole word. */
  all(): bigint;
}

/** A word whose bits read as booleans under their keys. */
export type Bits<Table extends BitTable> = { readonly [Key in keyof Table]: boolean } & {
  /** Bits 31:0, unsigned. */
  readonly value: number;
  /** The whole word with some bits changed; nothing is written. */
  with(changes: { readonly [Key in keyof Table]?: boolean }): bigint;
};

/**
 * Makes the accessor of a kind of word from its table; the bits are below 32.
 *
 * @example
 * const pinBased = bitsOf(PIN_BASED_CONTROLS);
 * pinBased(constantWord(0x9n)).nmiExiting; // true
 */
export function bitsOf<const Table extends BitTable>(table: Table): (source: WordSource) => Bits<Table> {
  class Word {
    readonly source: WordSource;
    constructor(source: WordSource) {
      this.source = source;
    }
    get value(): number {
      return this.source.low() >>> 0;
    }
    with(changes: Record<string, boolean | undefined>): bigint {
      let value = this.source.all();
      for (const [key, on] of Object.entries(changes)) {
        const bit = 1n << BigInt(table[key]!.bit);
        if (on === true) value |= bit;
        if (on === false) value &= ~bit;
      }
      return value;
    }
  }
  for (const [key, { bit }] of Object.entries(table)) {
    const mask = 1 << bit;
    Object.defineProperty(Word.prototype, key, {
      get(this: Word): boolean {
        return (this.source.low() & mask) !== 0;
      },
    });
  }
  return (source) => new Word(source) as unknown as Bits<Table>;
}

/** The word with exactly these bits set. */
export function bitsSet<const Table extends BitTable>(table: Table, keys: readonly (keyof Table)[]): bigint {
  return keys.reduce((value, key) => value | (1n << BigInt(table[key]!.bit)), 0n);
}

/** A word that does not change. */
export function constantWord(value: bigint): WordSource {
  return { low: () => Number(value & 0xffff_ffffn), all: () => value };
}
