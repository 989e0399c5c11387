import type { Rom } from '../../rom.ts';

export const vtxEventRoms: readonly Rom[] = [];
