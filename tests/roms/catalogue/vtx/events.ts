import type { Rom } from '../../rom.ts';
import { vtxBoundaryRoms } from './boundaries.ts';
import { vtxDebugRoms } from './debug-traps.ts';
import { vtxDeliveryRoms } from './event-delivery.ts';
import { vtxExceptionRoms } from './exceptions.ts';
import { vtxInterruptRoms } from './interrupts.ts';
import { vtxNmiRoms } from './nmis.ts';
import { vtxResumeFlagRoms } from './resume-flag.ts';
import { vtxSignalRoms } from './signals.ts';
import { vtxTaskRoms } from './task-switches.ts';

/** ROMs about exceptions, interrupts and the other events of a guest. */
export const vtxEventRoms: readonly Rom[] = [
  ...vtxExceptionRoms,
  ...vtxDeliveryRoms,
  ...vtxInterruptRoms,
  ...vtxNmiRoms,
  ...vtxDebugRoms,
  ...vtxBoundaryRoms,
  ...vtxResumeFlagRoms,
  ...vtxTaskRoms,
  ...vtxSignalRoms,
];
