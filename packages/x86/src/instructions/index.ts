import { InstructionTable } from '../table/instruction-table.ts';
import { integerRows } from './integer/index.ts';
import { simdRows } from './simd/index.ts';
import { systemRows } from './system/index.ts';
import { x87Rows } from './x87/index.ts';

/** The instruction table: every instruction that the CPU knows, of whatever CPUID feature. */
export const instructionTable: InstructionTable = new InstructionTable([...integerRows, ...systemRows, ...x87Rows, ...simdRows]);
