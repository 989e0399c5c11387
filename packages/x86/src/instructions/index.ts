import { InstructionTable } from '../table/instruction-table.ts';
import { integerRows } from './integer/index.ts';

/** The instruction table: every instruction that the CPU knows, of whatever CPUID feature. */
export const instructionTable: InstructionTable = new InstructionTable([...integerRows]);
