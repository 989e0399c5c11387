import type { Rom } from '../../rom.ts';

export const vtxEntryRoms: readonly Rom[] = [];
