import type { Rom } from '../../rom.ts';
import { vtxEntryRoms } from './entry.ts';
import { vtxEventRoms } from './events.ts';
import { vtxInjectionRoms } from './injection.ts';
import { vtxInstructionRoms } from './instructions.ts';
import { vtxMemoryRoms } from './memory.ts';
import { vtxPortAndMsrRoms } from './ports-and-msrs.ts';
import { vtxRegisterRoms } from './registers.ts';

/** Every ROM about VT-x. */
export const vtxRoms: readonly Rom[] = [
  ...vtxInstructionRoms,
  ...vtxRegisterRoms,
  ...vtxPortAndMsrRoms,
  ...vtxEventRoms,
  ...vtxInjectionRoms,
  ...vtxMemoryRoms,
  ...vtxEntryRoms,
];
