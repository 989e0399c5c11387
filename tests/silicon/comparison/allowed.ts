import { CaseField, type Batch, ResultField } from './batch.ts';
import type { Cell } from './cells.ts';
import type { Difference } from './compare.ts';
import type { ComparedMachine } from './machine.ts';
import type { BatchResults } from './silicon-process.ts';

/** A case and its two ends. */
export interface Case {
  readonly cell: Cell;
  readonly batch: Batch;
  readonly at: number;
  readonly results: BatchResults;
  readonly result: number;
  readonly machine: ComparedMachine;
}

/** A difference that the manuals leave open, or in which the vendors differ. */
export interface Allowance {
  /** Mnemonics, as the table has them. */
  readonly rows: RegExp;
  /** Fields as differences name them. */
  readonly fields: RegExp;
  /** Only in these cases. */
  readonly when?: (context: Case) => boolean;
  readonly reason: string;
  readonly section: string;
}

const vectorOf = ({ results, result }: Case): number => (results.bytes[result + ResultField.status] === 1 ? (results.bytes[result + ResultField.vector] as number) : -1);
const siliconFsw = (context: Case): number => context.results.view.getUint16(context.result + 208 + 2, true);

/** The count of a shift or rotation as the processor masks it. */
function countOf({ cell, batch, at }: Case): number {
  const { form, operandBytes } = cell;
  const last = form.operands[form.operands.length - 1];
  if (last?.fixed === '1') return 1;
  const code = batch.bytes;
  const immediate = code[at + 184 + (batch.u16[(at + 10) >> 1] as number) - 1] as number;
  const count = last?.fixed === 'CL' ? (batch.u32[((at + CaseField.gpr) >> 2) + 2] as number) : immediate;
  const isByte = form.operands[0]?.size === 'b';
  return count & (operandBytes === 8 && !isByte ? 63 : 31);
}

/** Every difference that is let through, but for the rows' own `undefinedFlags`. */
export const ALLOWANCES: readonly Allowance[] = [
  {
    rows: /^SH[LR]D$/,
    fields: /./,
    when: (context) => context.cell.operandBytes === 2 && countOf(context) > 16,
    reason: 'A count above the operand size leaves the destination and the flags undefined.',
    section: 'SDM Vol. 2B, SHLD and SHRD; APM Vol. 3, SHLD and SHRD',
  },
  {
    rows: /./,
    fields: /^(fop|fip|fdp)$/,
    when: (context) => (siliconFsw(context) & 0x80) === 0,
    reason: 'AMD processors note the last x87 instruction and operand only where it raises an unmasked exception, and save and load them only then.',
    section: 'APM Vol. 2, 11.4.4.3 "FXSAVE and FXRSTOR Instructions"; APM Vol. 3, FXSAVE',
  },
  {
    rows: /./,
    fields: /^(end|error code|cr2)$/,
    when: (context) => context.cell.mode !== 64 && vectorOf(context) >= 12 && vectorOf(context) <= 13,
    reason: 'An access that wraps at the end of a 4 GiB segment may or may not raise #GP or #SS.',
    section: 'SDM Vol. 3A, 5.3 "Limit Checking"',
  },
  {
    rows: /^ENTER$/,
    fields: /^\[3/,
    when: (context) => vectorOf(context) >= 0,
    reason: 'Where ENTER faults, how much it has already written below the stack pointer is not defined. Ours writes nothing.',
    section: 'SDM Vol. 2A, ENTER',
  },
];

/** Flags that a row leaves undefined in this case. */
function isUndefinedFlag(context: Case, field: string): boolean {
  const { form } = context.cell;
  const undefinedFlags = form.row.options.undefinedFlags as readonly string[] | undefined;
  if (undefinedFlags?.includes(field) !== true) return false;
  if (!/^(RO[LR]|RC[LR]|S[HA][LR]|SH[LR]D)$/.test(form.mnemonic)) return true;
  // Shifts and rotations: nothing changes by a count of 0; OF is defined by a count of 1.
  const count = countOf(context);
  return count !== 0 && !(field === 'OF' && count === 1);
}

/** Whether a difference is one that the manuals allow. */
export function allowance(context: Case, difference: Difference): boolean {
  if (isUndefinedFlag(context, difference.field)) return true;
  const { mnemonic } = context.cell.form;
  return ALLOWANCES.some(({ rows, fields, when }) => rows.test(mnemonic) && fields.test(difference.field) && (when === undefined || when(context)));
}

export function judgeFloat(_context: Case, _field: string, _ours: Uint8Array, _silicon: Uint8Array): boolean {
  return false;
}
