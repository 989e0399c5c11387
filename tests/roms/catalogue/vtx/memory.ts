import type { Rom } from '../../rom.ts';
import { vtxEptFlagRoms } from './ept-flags.ts';
import { vtxEptFrameRoms } from './ept-frames.ts';
import { vtxEptGateRoms } from './ept-gates.ts';
import { vtxEptInstructionRoms } from './ept-instructions.ts';
import { vtxEptOperandRoms } from './ept-operands.ts';
import { vtxEptStructureRoms } from './ept-structures.ts';
import { vtxEptViolationRoms } from './ept-violations.ts';
import { vtxGuestPagingRoms } from './guest-paging.ts';
import { vtxPcidRoms } from './pcids.ts';
import { vtxTranslationRoms } from './translations.ts';

/** ROMs about EPT, VPIDs and what is cached of them. */
export const vtxMemoryRoms: readonly Rom[] = [
  ...vtxEptViolationRoms,
  ...vtxEptInstructionRoms,
  ...vtxEptOperandRoms,
  ...vtxEptStructureRoms,
  ...vtxEptFlagRoms,
  ...vtxEptFrameRoms,
  ...vtxEptGateRoms,
  ...vtxTranslationRoms,
  ...vtxPcidRoms,
  ...vtxGuestPagingRoms,
];
