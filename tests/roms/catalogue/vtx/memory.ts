import type { Rom } from '../../rom.ts';
import { vtxEptFlagRoms } from './ept-flags.ts';
import { vtxEptInstructionRoms } from './ept-instructions.ts';
import { vtxEptStructureRoms } from './ept-structures.ts';
import { vtxEptViolationRoms } from './ept-violations.ts';
import { vtxTranslationRoms } from './translations.ts';

/** ROMs about EPT, VPIDs and what is cached of them. */
export const vtxMemoryRoms: readonly Rom[] = [
  ...vtxEptViolationRoms,
  ...vtxEptInstructionRoms,
  ...vtxEptStructureRoms,
  ...vtxEptFlagRoms,
  ...vtxTranslationRoms,
];
