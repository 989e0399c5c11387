import { type Decoder, type Insn, type InstructionForm, modrmKind, resolveOperands } from '@minusone/x86';
import { encode } from './encoding.ts';
import { Random } from './random.ts';

export type CodeBits = 16 | 32 | 64;

/** What is compared as one thing: a form of the table, in one mode, with one operand size, its ModRM operand a register or memory. */
export interface Cell {
  readonly form: InstructionForm;
  readonly mode: CodeBits;
  /** `none`: no ModRM byte that could be either. */
  readonly kind: 'register' | 'memory' | 'none';
  /** How the operand size is come by. */
  readonly operandPrefix: boolean;
  readonly rexW: boolean;
  readonly operandBytes: 2 | 4 | 8;
}

/** Seed by which a cell's encodings and operands are generated: the same for the same form, whatever stands before it in the table. */
export function seedOf(cell: Cell): number {
  let hash = cell.mode * 31 + cell.operandBytes * 7 + cell.kind.length;
  for (const char of `${cell.form.mnemonic} ${cell.form.encoding}`) hash = (Math.imul(hash, 16777619) ^ char.charCodeAt(0)) >>> 0;
  return hash;
}

/** Whether the effective operand size makes a difference to a form. */
function hasSize(form: InstructionForm): boolean {
  if (form.mnemonic.includes('/') || form.size64 !== 'normal' || form.flow !== 'next') return true;
  const letters = form.operands.flatMap(({ size, memorySize, fixed }) => [size, memorySize, fixed]);
  if (letters.some((letter) => /^[vzypa]$|^[re]AX$/.test(letter))) return true;
  if (form.operands.some(({ method }) => method === 'sI' || method === 'A' || method === 'J')) return true;
  // Memory of no size: environments and images depend on it.
  return form.operands.some(({ method, size }) => method === 'M' && size === '') || (form.operands.length === 0 && form.unit === 'integer');
}

/** All cells of a form, by trying prefixes and asking the decoder what they make. */
export function cellsOf(form: InstructionForm, decoder: Decoder, modes: readonly CodeBits[] = [64, 32, 16]): Cell[] {
  const cells: Cell[] = [];
  const either = form.hasModrm && form.fixedModrm < 0;
  const kinds: Cell['kind'][] = !either
    ? ['none']
    : modrmKind(form) === 'either'
      ? ['register', 'memory']
      : [modrmKind(form) as 'register' | 'memory'];
  if (either && isNeverMemory(form)) kinds.splice(0, kinds.length, 'register');
  const mayPrefix =
    form.mandatoryPrefix === undefined ||
    (typeof form.mandatoryPrefix === 'number' && form.mandatoryPrefix !== 0x66 && form.unit === 'integer');
  for (const mode of modes) {
    for (const kind of kinds) {
      const sizes = new Set<number>();
      for (const rexW of mode === 64 ? [false, true] : [false]) {
        for (const operandPrefix of mayPrefix && !rexW ? [false, true] : [false]) {
          const cell: Cell = { form, mode, kind, operandPrefix, rexW, operandBytes: 4 };
          const insn = sampleOf(cell, decoder);
          if (insn === undefined) continue;
          // Two sizes that resolve to the same operands are one cell, unless the size matters by itself.
          const key = hasSize(form) || insn.operandBytes === 8 ? insn.operandBytes : 0;
          const resolved = hasSize(form)
            ? key
            : resolveOperands(insn).reduce((sum, operand) => sum * 64 + ('bytes' in operand ? operand.bytes : 0), 0);
          if (sizes.has(resolved)) continue;
          sizes.add(resolved);
          cells.push({ ...cell, operandBytes: insn.operandBytes });
        }
      }
    }
  }
  return cells;
}

const isNeverMemory = (form: InstructionForm): boolean => form.operands.some(({ method }) => method === 'C' || method === 'D');

function sampleOf(cell: Cell, decoder: Decoder): Insn | undefined {
  return encode(cell, decoder, new Random(1))?.insn;
}

/** For people. */
export function nameOf({ form, mode, kind, operandBytes }: Cell): string {
  return `${form.mnemonic} | ${form.encoding} | ${mode}-bit, operand size ${operandBytes}${kind === 'none' ? '' : `, ${kind}`}`;
}
