import type { Cpu } from '../cpu/cpu.ts';
import type { Insn } from '../decode/insn.ts';
import type { Emit } from '../semantics/emit.ts';

/**
 * The instruction table's rows. A row is one instruction of the manual: its mnemonic, its encodings in the notation of the SDM's
 * opcode map (Vol. 2D, Appendix A), and its effect, written once: either as an `Emit` function, which both projections run, or,
 * for what is rare or sprawling and does no arithmetic, as plain TypeScript.
 *
 * ## Encodings
 *
 * `[VEX...] [NP|66|F2|F3] opcode-bytes [/r|/0../7] [operands] [attributes]`, blanks between the parts, commas between operands.
 *
 * - Mandatory prefix: `NP` (none of 66, F2, F3), `66`, `F2`, `F3`; left out where prefixes have their usual meaning.
 * - Opcode bytes in hex. `50+r`: the low three bits (and REX.B) name a register (operand `Z`). `70+cc`: sixteen opcodes, one a
 *   condition; the row is expanded into sixteen. `D8 C0+i`: x87 register in the low three bits (operand `STi`).
 *   A second byte after a group opcode with no `/`: a whole ModRM byte (`0F 01 D0`).
 * - `/r`: a ModRM byte; `/digit`: its reg field is part of the opcode.
 * - `VEX.128.66.0F.W0 58 /r`: L (128, 256, LIG, LZ), mandatory prefix, map, W (W0, W1, WIG).
 * - Operands, in Intel order, by addressing method and size:
 *   `E` general register or memory by ModRM.rm, `G` general register by ModRM.reg, `Z` general register by opcode, `B` general register by VEX.vvvv,
 *   `R` general register by rm (mod = 3 only), `M` memory only, `O` memory offset (moffs), `X` DS:rSI (segment overridable), `Y` ES:rDI,
 *   `I` immediate, `sIb` byte immediate sign-extended to the operand size, `J` relative offset, `A` direct far pointer,
 *   `S` segment register, `C` control register, `D` debug register,
 *   `V` XMM/YMM by reg, `W` XMM/YMM or memory by rm, `U` XMM/YMM by rm (register only), `H` XMM/YMM by vvvv, `L` XMM/YMM by imm8[7:4],
 *   `P` MMX by reg, `Q` MMX or memory by rm, `N` MMX by rm (register only), `STi` x87 register by rm or opcode, `ST0`;
 *   sizes `b` 1, `w` 2, `d` 4, `q` 8, `v` operand size (2, 4, 8), `z` 2 or 4 (with 64-bit operand size: 4, sign-extended), `y` 4 or 8 by REX.W / operand size
 *   (4 unless 64-bit), `dq` 16, `qq` 32, `x` 16 or 32 by VEX.L, `ss` 4, `sd` 8, `ps` `pd` as `x`, `p` far pointer (2 + operand size, in memory or immediate),
 *   `t` 10, `s` pseudo-descriptor, `a` BOUND pair; none: memory of no size (`LEA`, `INVLPG`, state images).
 *   A form with different sizes in register and memory is written with a slash: `Ry/Mw`, `Uq/Mq`, `Udq/Mw`.
 *   Fixed operands by name: `AL CL AX DX eAX rAX 1 ES CS SS DS FS GS 3`.
 * - Attributes: `lock` may carry LOCK (memory destination only); `rep` REP; `repz` REPE/REPNE; `i64` invalid in 64-bit mode; `o64` only in 64-bit mode;
 *   `d64` operand size defaults to 64 in 64-bit mode (16 with 66); `f64` is forced to 64 in 64-bit mode; `nowait` (x87) does not check for pending exceptions;
 *   `alt` an alternative encoding that the assembler does not choose; `byaddress` mnemonic alternatives go by address size.
 *   Where two encodings fit, the more special one wins: a mandatory prefix before none, a whole ModRM byte before `/digit` before `/r`, register-only or
 *   memory-only before both, a plain opcode before `+r` (so `90` is NOP, but with REX.B it is `90+r`, XCHG).
 *
 * ## Mnemonics
 *
 * `J{cc}`: sixteen rows. `JCXZ/JECXZ/JRCXZ`: by address size where the encoding has the attribute `byaddress`. `MOVS{size}`: B, W, D, Q by operand size. `CBW/CWDE/CDQE`: by operand size 2, 4, 8.
 */
export interface InstructionRow {
  readonly mnemonic: string;
  readonly encodings: readonly string[];
  readonly options: RowOptions;
  /** The effect as an emitter, or undefined. Of a row that has an `execute` too: the usual case, which hands over to that by `e.exitToSystem`. */
  readonly semantics: Semantics | undefined;
  /** The effect as plain TypeScript, or undefined. Runs outside Wasm frames; may throw through `cpu.raise`. */
  readonly execute: SystemSemantics | undefined;
}

export type Semantics = (e: Emit) => void;
export type SystemSemantics = (cpu: Cpu, insn: Insn) => void;

/** Which part of the CPU must be usable: decides the checks for #UD, #NM and #MF that precede the effect. */
export type Unit = 'integer' | 'x87' | 'mmx' | 'sse' | 'avx';

/** How control goes on: what a region needs to know before it looks at the effect. `stop` ends a block and goes through the run loop. */
export type Flow = 'next' | 'jump' | 'branch' | 'call' | 'indirect' | 'return' | 'stop';

/** What the manual leaves undefined, as flag names or `vendor` with a reason: the silicon comparison ignores just that. */
export interface RowOptions {
  /** CPUID feature bits that offer the instruction, as `cpu/cpuid` names them (`SSE2`, `CMPXCHG16B` ...). All must be offered, or it is #UD. */
  readonly features?: readonly string[];
  /** Default: integer. */
  readonly unit?: Unit;
  /** Default: next; system rows: stop. */
  readonly flow?: Flow;
  /** Arithmetic flags that the manual calls undefined after the instruction, always or in the case named by the row's comment. */
  readonly undefinedFlags?: readonly ('CF' | 'PF' | 'AF' | 'ZF' | 'SF' | 'OF')[];
  /** Instruction is user-mode executable but its result depends on the machine (CPUID, RDTSC): not compared with silicon. */
  readonly machineDependent?: boolean;
  /**
   * What the semantics look at of the decoded instruction while generating, besides the operands' kinds and sizes, the operand, address and code size (a base
   * register that matters, a segment): handlers are shared only between instructions for which this gives the same number.
   */
  readonly dependsOn?: (insn: Insn) => number;
  /** The result itself is undefined for some counts (16-bit SHLD by more than 16): the silicon comparison leaves those counts out. */
  readonly undefinedForCountsAbove?: 'operand-size';
  /** A documented bound instead of exact bits (RCP, RSQRT, x87 transcendentals): relative error, or units in the last place. */
  readonly errorBound?: { readonly relative: number } | { readonly ulps: number };
}

/** A row whose effect is an emitter. */
export function instruction(
  mnemonic: string,
  encodings: readonly string[],
  semantics: Semantics,
  options: RowOptions = {},
): InstructionRow {
  return { mnemonic, encodings, options, semantics, execute: undefined };
}

/** A row whose effect is plain TypeScript: no arithmetic, only machine control. The list of these is closed by a test. */
export function system(mnemonic: string, encodings: readonly string[], execute: SystemSemantics, options: RowOptions = {}): InstructionRow {
  return { mnemonic, encodings, options: { flow: 'stop', ...options }, semantics: undefined, execute };
}

/**
 * A system row that is executed so often that its usual case is an emitter, which leaves the others to the TypeScript (`e.exitToSystem`): what it does must be the same. It
 * does not end a block.
 */
export function warmSystem(
  mnemonic: string,
  encodings: readonly string[],
  usual: Semantics,
  execute: SystemSemantics,
  options: RowOptions = {},
): InstructionRow {
  return { mnemonic, encodings, options, semantics: usual, execute };
}

/** Gives every row of a list the same options, where it does not say otherwise. */
export function withOptions(options: RowOptions, rows: readonly InstructionRow[]): InstructionRow[] {
  return rows.map((row) => ({ ...row, options: { ...options, ...row.options } }));
}
