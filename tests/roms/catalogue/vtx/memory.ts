import type { Rom } from '../../rom.ts';

export const vtxMemoryRoms: readonly Rom[] = [];
