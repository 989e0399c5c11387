import type { InstructionForm } from '../table/form.ts';

/**
 * A decoded instruction: what the bytes say, before anything is executed. Made once per place in memory; plain data, so that the
 * disassembler, both projections, system rows and tests read the same object.
 */
export interface Insn {
  /** One encoding of one row (conditions expanded). */
  readonly form: InstructionForm;
  /** Total length in bytes, 1 to 15. */
  readonly length: number;
  /** Code size it was decoded for. */
  readonly codeBits: 16 | 32 | 64;
  /** Effective operand size in bytes (for `v`, `z`, `y` operands). */
  readonly operandBytes: 2 | 4 | 8;
  /** Effective address size in bytes. */
  readonly addressBytes: 2 | 4 | 8;
  /** Effective segment of the memory operand (override or default; 64-bit mode: only FS and GS have a base). */
  readonly segment: number;
  /** The segment override prefix in force, or -1. */
  readonly segmentOverride: number;
  readonly lock: boolean;
  /** The last REP prefix: 0, 0xF2 or 0xF3 (0 where it was a mandatory prefix). */
  readonly rep: 0 | 0xf2 | 0xf3;
  /** The REX byte or 0. */
  readonly rex: number;
  /** ModRM byte or -1. */
  readonly modrm: number;
  /** ModRM.reg with REX.R / VEX.R. */
  readonly reg: number;
  /** ModRM.rm with REX.B, or the register in the opcode's low bits; meaningful for register operands. */
  readonly rm: number;
  /** True: ModRM.mod is 3, or there is no ModRM. */
  readonly isRegisterForm: boolean;
  /** Memory operand: register numbers or -1. */
  readonly base: number;
  readonly index: number;
  /** log2 of the scale, 0 to 3. */
  readonly scale: number;
  /** Displacement, sign-extended; for moffs with 64-bit addresses see `displacementHigh`. */
  readonly displacement: number;
  /** High 32 bits of the displacement (its sign, but for a 64-bit moffs). */
  readonly displacementHigh: number;
  /** True: the displacement counts from the next instruction's address (64-bit mode). */
  readonly ripRelative: boolean;
  /** First immediate (or relative offset) sign-extended to 64 bits as two 32-bit halves (signed ints). `I` operands that are not sign-extended by the manual are still stored so; mask by size. */
  readonly immediate: number;
  readonly immediateHigh: number;
  /** Second immediate: ENTER's level, a far pointer's selector. */
  readonly immediate2: number;
  /** VEX.vvvv, or 0. */
  readonly vvvv: number;
  /** VEX.L as vector length in bytes: 16 or 32; 0 without VEX. */
  readonly vectorBytes: 0 | 16 | 32;
}
