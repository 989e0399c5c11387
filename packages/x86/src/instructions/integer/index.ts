import type { InstructionRow } from '../../table/row.ts';
import { arithmeticRows } from './arithmetic.ts';
import { bitRows } from './bits.ts';
import { controlRows } from './control.ts';
import { dataTransferRows } from './data-transfer.ts';
import { decimalRows } from './decimal.ts';
import { flagControlRows } from './flag-control.ts';
import { logicRows } from './logic.ts';
import { multiplyDivideRows } from './multiply-divide.ts';
import { shiftRotateRows } from './shift-rotate.ts';
import { stringRows } from './string.ts';

/** Every general-purpose instruction that is not machine control. */
export const integerRows: readonly InstructionRow[] = [
  ...arithmeticRows,
  ...bitRows,
  ...controlRows,
  ...dataTransferRows,
  ...decimalRows,
  ...flagControlRows,
  ...logicRows,
  ...multiplyDivideRows,
  ...shiftRotateRows,
  ...stringRows,
];
