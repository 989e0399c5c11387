import { type Mode, ModeBit, modeOf } from '../../state/mode.ts';

const CODE_SIZE = ModeBit.CODE_SIZE_MASK;
const STACK_SIZE = 3 << ModeBit.STACK_SIZE_SHIFT;

/** A mode that notes which bits of the mode word were looked at: a handler serves every mode that agrees in those. */
export class TrackedMode implements Mode {
  readonly #mode: Mode;
  /** Bits of the mode word that were read. */
  used = 0;

  constructor(word: number) {
    this.#mode = modeOf(word);
  }
  get word(): number {
    this.used = -1;
    return this.#mode.word;
  }
  get codeBits(): 16 | 32 | 64 {
    this.used |= CODE_SIZE;
    return this.#mode.codeBits;
  }
  get stackBits(): 16 | 32 | 64 {
    this.used |= STACK_SIZE;
    return this.#mode.stackBits;
  }
  get protected(): boolean {
    return this.#flag(ModeBit.PROTECTED);
  }
  get virtual8086(): boolean {
    return this.#flag(ModeBit.VIRTUAL_8086);
  }
  get flatData(): boolean {
    return this.#flag(ModeBit.FLAT_DATA);
  }
  get flatCode(): boolean {
    return this.#flag(ModeBit.FLAT_CODE);
  }
  get em(): boolean {
    return this.#flag(ModeBit.EM);
  }
  get ts(): boolean {
    return this.#flag(ModeBit.TS);
  }
  get mp(): boolean {
    return this.#flag(ModeBit.MP);
  }
  get osfxsr(): boolean {
    return this.#flag(ModeBit.OSFXSR);
  }
  get avx(): boolean {
    return this.#flag(ModeBit.AVX);
  }
  get user(): boolean {
    return this.#flag(ModeBit.USER);
  }
  get long(): boolean {
    return this.#flag(ModeBit.LONG);
  }
  get la57(): boolean {
    return this.#flag(ModeBit.LA57);
  }
  #flag(bit: number): boolean {
    this.used |= bit;
    return (this.#mode.word & bit) !== 0;
  }
}
