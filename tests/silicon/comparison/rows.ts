import type { InstructionForm } from '@minusone/x86';

/** System rows that work in user mode without the kernel's help; all others are left out. */
const SYSTEM_ROWS = new Set(['PUSHF/PUSHFD/PUSHFQ', 'POPF/POPFD/POPFQ', 'FXSAVE', 'FXRSTOR', 'FLDENV', 'FNSTENV', 'FRSTOR', 'FNSAVE']);

export function isCompared(form: InstructionForm): boolean {
  const { row } = form;
  if (row.options.machineDependent) return false;
  return row.semantics !== undefined || SYSTEM_ROWS.has(row.mnemonic);
}
