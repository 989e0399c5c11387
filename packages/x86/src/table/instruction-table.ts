import type { InstructionForm } from './form.ts';
import { parseRow } from './parse-encoding.ts';
import type { InstructionRow } from './row.ts';

/**
 * All rows that a CPU may know, parsed. The base table is `instructionTable` in `instructions/`; an extension's rows make a larger one with
 * `extended`. Which forms a given CPU offers is the decoder's choice, by CPUID features.
 */
export class InstructionTable {
  readonly rows: readonly InstructionRow[];
  /** By id. */
  readonly forms: readonly InstructionForm[];

  constructor(rows: readonly InstructionRow[]) {
    const forms: InstructionForm[] = [];
    for (const row of rows) forms.push(...parseRow(row, forms.length));
    this.rows = rows;
    this.forms = forms;
  }

  /** A table with more rows; forms that were there keep their ids. */
  extended(rows: readonly InstructionRow[]): InstructionTable {
    return new InstructionTable([...this.rows, ...rows]);
  }
}

/** Register-only, memory-only, or either, by a form's operands. MOV to and from control and debug registers ignores mod (SDM Vol. 2B, "MOV"). */
export function modrmKind(form: InstructionForm): 'register' | 'memory' | 'either' {
  if (form.operands.some(({ method }) => method === 'C' || method === 'D')) return 'either';
  for (const operand of form.operands) {
    if (operand.method === 'M') return 'memory';
    if (operand.memorySize === '' && (operand.method === 'R' || operand.method === 'U' || operand.method === 'N')) return 'register';
  }
  return 'either';
}
