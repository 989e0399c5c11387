import type { Rom } from '../../rom.ts';

export const vtxInjectionRoms: readonly Rom[] = [];
