import { type InstructionRow, withOptions } from '../../table/row.ts';
import { arithmeticRows } from './arithmetic.ts';
import { compareRows } from './compare.ts';
import { constantRows } from './constants.ts';
import { controlRows } from './control.ts';
import { decimalRows } from './decimal.ts';
import { environmentRows } from './environment.ts';
import { loadStoreRows } from './load-store.ts';
import { moveRows } from './move.ts';
import { roundingRows } from './rounding.ts';
import { transcendentalRows } from './transcendental/rows.ts';

/** Every x87 instruction (SDM Vol. 1, chapter 8). */
export const x87Rows: readonly InstructionRow[] = withOptions({ unit: 'x87', features: ['FPU'] }, [
  ...loadStoreRows,
  ...moveRows,
  ...arithmeticRows,
  ...compareRows,
  ...roundingRows,
  ...transcendentalRows,
  ...constantRows,
  ...decimalRows,
  ...controlRows,
  ...environmentRows,
]);
