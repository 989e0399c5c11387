import type { Rom } from '../../rom.ts';
import { vtxExceptionRoms } from './exceptions.ts';

/** ROMs about exceptions, interrupts and the other events of a guest. */
export const vtxEventRoms: readonly Rom[] = [...vtxExceptionRoms];
