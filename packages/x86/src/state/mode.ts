/**
 * The mode word: everything that decoded records and compiled regions are specialized on, one bit (or field) each. Code is cached by
 * physical page and mode word, so two machines' worth of assumptions never meet: what is not in this word is tested at run time.
 */
export const ModeBit = {
  /** Bits 0-1: default code size: 0 = 16, 1 = 32, 2 = 64 bits. */
  CODE_SIZE_MASK: 0x3,
  /** Bits 2-3: stack address size, likewise. */
  STACK_SIZE_SHIFT: 2,
  /** CR0.PE is 1 and EFLAGS.VM is 0. */
  PROTECTED: 0x10,
  VIRTUAL_8086: 0x20,
  /** DS, ES and SS: base 0, limit 4 GiB, readable and writable (always so in 64-bit mode). FS and GS are never assumed flat. */
  FLAT_DATA: 0x40,
  /** CS: base 0, limit 4 GiB (always so in 64-bit mode). */
  FLAT_CODE: 0x80,
  /** CR0.EM: x87 raises #NM, MMX and SSE raise #UD. */
  EM: 0x100,
  /** CR0.TS: x87, MMX, SSE and AVX raise #NM. */
  TS: 0x200,
  /** CR0.MP: with TS, WAIT raises #NM. */
  MP: 0x400,
  /** CR4.OSFXSR: without it SSE raises #UD. */
  OSFXSR: 0x800,
  /** CR4.OSXSAVE is 1 and XCR0 has SSE and AVX: without it VEX instructions raise #UD. */
  AVX: 0x1000,
  /** CPL is 3. */
  USER: 0x2000,
  /** EFER.LMA: long mode is active (64-bit or compatibility mode). */
  LONG: 0x4000,
  /** 64-bit code with CR4.LA57: addresses of 57 bits are canonical, elsewhere those of 48. */
  LA57: 0x8000,
} as const;

/** Mode words are below this. */
export const MODE_WORDS = 0x1_0000;

/** The mode word spelled out, for whoever reads it while generating code. */
export interface Mode {
  readonly word: number;
  readonly codeBits: 16 | 32 | 64;
  readonly stackBits: 16 | 32 | 64;
  readonly protected: boolean;
  readonly virtual8086: boolean;
  readonly flatData: boolean;
  readonly flatCode: boolean;
  readonly em: boolean;
  readonly ts: boolean;
  readonly mp: boolean;
  readonly osfxsr: boolean;
  readonly avx: boolean;
  readonly user: boolean;
  readonly long: boolean;
  readonly la57: boolean;
}

const SIZES = [16, 32, 64, 64] as const;
const known = new Map<number, Mode>();

/** Spells a mode word out. The same word gives the same object. */
export function modeOf(word: number): Mode {
  let mode = known.get(word);
  if (mode === undefined) {
    mode = {
      word,
      codeBits: SIZES[(word & 3) as 0 | 1 | 2],
      stackBits: SIZES[((word >> ModeBit.STACK_SIZE_SHIFT) & 3) as 0 | 1 | 2],
      protected: (word & ModeBit.PROTECTED) !== 0,
      virtual8086: (word & ModeBit.VIRTUAL_8086) !== 0,
      flatData: (word & ModeBit.FLAT_DATA) !== 0,
      flatCode: (word & ModeBit.FLAT_CODE) !== 0,
      em: (word & ModeBit.EM) !== 0,
      ts: (word & ModeBit.TS) !== 0,
      mp: (word & ModeBit.MP) !== 0,
      osfxsr: (word & ModeBit.OSFXSR) !== 0,
      avx: (word & ModeBit.AVX) !== 0,
      user: (word & ModeBit.USER) !== 0,
      long: (word & ModeBit.LONG) !== 0,
      la57: (word & ModeBit.LA57) !== 0,
    };
    known.set(word, mode);
  }
  return mode;
}
