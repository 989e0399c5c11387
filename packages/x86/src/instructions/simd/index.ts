import type { InstructionRow } from '../../table/row.ts';
import { simdConvertRows } from './convert.ts';
import { simdFloatRows } from './float.ts';
import { simdIntegerRows } from './integer.ts';
import { simdMoveRows } from './move.ts';

/** MMX, SSE, SSE2 and SSE3, but for what saves and restores whole states. */
export const simdRows: readonly InstructionRow[] = [...simdMoveRows, ...simdIntegerRows, ...simdFloatRows, ...simdConvertRows];
