import type { Rom } from '../../rom.ts';
import { vtxInstructionRoms } from './instructions.ts';
import { vtxPortAndMsrRoms } from './ports-and-msrs.ts';
import { vtxRegisterRoms } from './registers.ts';

/** Every ROM about VT-x. */
export const vtxRoms: readonly Rom[] = [...vtxInstructionRoms, ...vtxRegisterRoms, ...vtxPortAndMsrRoms];
