import type { Insn } from './insn.ts';

/**
 * An operand of a decoded instruction, resolved: which register, or which memory of what size. Read by both projections, the
 * disassembler and the silicon tests. `bytes` is the operand's own size (0: no size).
 */
export type ResolvedOperand =
  /** `high`: AH, CH, DH, BH (index 0 to 3). */
  | { readonly kind: 'gpr'; readonly index: number; readonly bytes: 1 | 2 | 4 | 8; readonly high: boolean }
  | { readonly kind: 'memory'; readonly bytes: number }
  /** String operands: DS:rSI (override applied) and ES:rDI. */
  | { readonly kind: 'string'; readonly which: 'source' | 'destination'; readonly bytes: 1 | 2 | 4 | 8 }
  /** moffs: an absolute offset in insn.displacement. */
  | { readonly kind: 'moffs'; readonly bytes: 1 | 2 | 4 | 8 }
  /** Value sign- or zero-extended as the instruction uses it, as two 32-bit halves. */
  | { readonly kind: 'immediate'; readonly bytes: 1 | 2 | 4 | 8; readonly low: number; readonly high: number }
  /** Target = next instruction + displacement. */
  | { readonly kind: 'relative'; readonly displacement: number }
  | { readonly kind: 'farPointer'; readonly selector: number; readonly offset: number; readonly bytes: 2 | 4 }
  | { readonly kind: 'segment'; readonly index: number }
  | { readonly kind: 'control'; readonly index: number }
  | { readonly kind: 'debug'; readonly index: number }
  | { readonly kind: 'vector'; readonly index: number; readonly bytes: number }
  | { readonly kind: 'mmx'; readonly index: number; readonly bytes: number }
  | { readonly kind: 'st'; readonly index: number };

export type ResolveOperands = (insn: Insn) => readonly ResolvedOperand[];
