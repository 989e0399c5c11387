import { type Expr, extendU, simd } from '@minusone/wasm';
import type { Emit, Operand } from '../../semantics/emit.ts';
import { type InstructionRow, instruction, type RowOptions } from '../../table/row.ts';

/**
 * Packed-integer instructions come in pairs: on MMX registers (8 bytes) and, with a 66 prefix, on XMM registers (16 bytes). Both are written once, as an operation on
 * v128 values; an MMX operand is a v128 whose high half does not matter.
 */
export type PackedOperation = (a: Expr, b: Expr, e: Emit) => Expr;

export const MMX_OPTIONS: RowOptions = { unit: 'mmx', features: ['MMX'] };
/** MMX forms that came with SSE. */
export const MMX_SSE_OPTIONS: RowOptions = { unit: 'mmx', features: ['SSE'] };
export const SSE_OPTIONS: RowOptions = { unit: 'sse', features: ['SSE'] };
export const SSE2_OPTIONS: RowOptions = { unit: 'sse', features: ['SSE2'] };

/** Reads a vector operand: memory of 16 bytes must be aligned (SDM Vol. 1, 10.4.1.1; #GP(0) otherwise). */
export function readAligned(operand: Operand): Expr {
  if (operand.kind === 'memory') operand.requireAligned(16);
  return operand.read();
}

/** An MMX operand (or 32 bits of memory) as a v128. */
export function readMmx(operand: Operand): Expr {
  const value = operand.read();
  return simd.i64x2.splat(value.type === 'i32' ? extendU(value) : value);
}

/** The low 64 bits of a v128. */
export function low64(x: Expr): Expr {
  return simd.i64x2.extractLane(x, 0);
}

/**
 * The two rows of a packed instruction: `NP 0F opcode /r Pq,Qq` and `66 0F opcode /r Vdq,Wdq`.
 *
 * @param mmx how the MMX form differs from the XMM form, where it does; or its options; or its source operand
 */
export function packed(
  mnemonic: string,
  opcode: string,
  operation: PackedOperation,
  mmx: { operation?: PackedOperation; options?: RowOptions; source?: string } = {},
): InstructionRow[] {
  const narrow = mmx.operation ?? operation;
  return [
    instruction(
      mnemonic,
      [`NP 0F ${opcode} /r Pq,${mmx.source ?? 'Qq'}`],
      (e) => {
        const a = e.let(readMmx(e.dst));
        const b = e.let(readMmx(e.src));
        e.dst.write(low64(narrow(a, b, e)));
      },
      mmx.options ?? MMX_OPTIONS,
    ),
    instruction(
      mnemonic,
      [`66 0F ${opcode} /r Vdq,Wdq`],
      (e) => {
        const b = readAligned(e.src);
        e.dst.write(operation(e.dst.read(), b, e));
      },
      SSE2_OPTIONS,
    ),
  ];
}

/** Bytes `first` .. of the concatenation a:b (16 bytes each), as a Wasm shuffle. */
export function lanes(count: number, pick: (lane: number) => number): number[] {
  const bytes = 16 / count;
  return Array.from({ length: 16 }, (_, i) => pick(Math.floor(i / bytes)) * bytes + (i % bytes));
}
