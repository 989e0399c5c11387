import type { Flow, InstructionRow, Unit } from './row.ts';

/** Addressing methods of operands, as in the notation of `row.ts`; fixed registers are `fixed`. */
export type OperandMethod =
  | 'E' | 'G' | 'Z' | 'B' | 'R' | 'M' | 'O' | 'X' | 'Y' | 'I' | 'sI' | 'J' | 'A' | 'S' | 'C' | 'D'
  | 'V' | 'W' | 'U' | 'H' | 'L' | 'P' | 'Q' | 'N' | 'ST' | 'ST0' | 'fixed'; // biome-ignore format: one list

/** One operand of an encoding, parsed. */
export interface OperandSpec {
  readonly method: OperandMethod;
  /** Size letters (`b`, `v`, `dq` ...) or '' ; where register and memory differ, the register's. */
  readonly size: string;
  /** Size letters of the memory alternative, where they differ (`Ry/Mw`); '' where there is none: then `R`, `U` and `N` are registers only. */
  readonly memorySize: string;
  /** For `fixed`: `AL`, `CL`, `AX`, `DX`, `eAX`, `rAX`, `1`, `3`, `ES` ... */
  readonly fixed: string;
}

/** One encoding of one row, parsed, with conditions expanded: what the decoder finds, the encoder chooses and handlers are made for. */
export interface InstructionForm {
  /** Unique, dense, stable within a table: 0 .. forms - 1. */
  readonly id: number;
  readonly row: InstructionRow;
  /** The encoding as written. */
  readonly encoding: string;
  /** Mnemonic with `{cc}` filled in; `{size}` and `/` alternatives are resolved by `mnemonicOf(insn)`. */
  readonly mnemonic: string;
  readonly operands: readonly OperandSpec[];
  /** Condition 0 to 15 of `{cc}` rows, otherwise -1. */
  readonly cc: number;
  readonly unit: Unit;
  readonly flow: Flow;
  /** 'none': NP required; otherwise the byte, or undefined where prefixes have their usual meaning. */
  readonly mandatoryPrefix: 'none' | 0x66 | 0xf2 | 0xf3 | undefined;
  /** Opcode map: 0 one byte, 1 = 0F, 2 = 0F 38, 3 = 0F 3A. */
  readonly map: 0 | 1 | 2 | 3;
  readonly opcode: number;
  /** Number of consecutive opcodes (8 for `+r`, 1 otherwise). */
  readonly opcodeCount: 1 | 8;
  readonly hasModrm: boolean;
  /** ModRM.reg as opcode extension, or -1. */
  readonly digit: number;
  /** A whole fixed ModRM byte (first of `modrmCount`), or -1. */
  readonly fixedModrm: number;
  readonly modrmCount: 1 | 8;
  readonly vex: VexSpec | undefined;
  readonly lock: boolean;
  readonly repeat: 'none' | 'rep' | 'repz';
  readonly in64: 'both' | 'invalid' | 'only';
  readonly size64: 'normal' | 'default64' | 'forced64';
  readonly nowait: boolean;
  /** An alternative encoding that the assembler does not choose. */
  readonly alternative: boolean;
  /** Mnemonic alternatives go by address size. */
  readonly byAddress: boolean;
}

export interface VexSpec {
  /** Vector length: 128, 256; 'any' (LIG). LZ (L must be 0) is 128. */
  readonly length: 128 | 256 | 'any';
  readonly prefix: 0 | 0x66 | 0xf3 | 0xf2;
  readonly w: 0 | 1 | 'any';
}
