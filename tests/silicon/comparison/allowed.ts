import type { Batch } from './batch.ts';
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

/** Whether a difference is one that the manuals allow. */
export function allowance(context: Case, difference: Difference): boolean {
  const { options } = context.cell.form.row;
  return (options.undefinedFlags as readonly string[] | undefined)?.includes(difference.field) === true;
}

export function judgeFloat(_context: Case, _field: string, _ours: Uint8Array, _silicon: Uint8Array): boolean {
  return false;
}
