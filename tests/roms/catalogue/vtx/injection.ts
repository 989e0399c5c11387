import type { Rom } from '../../rom.ts';
import { boundaryRoms } from './injection/boundaries.ts';
import { deliveryRoms } from './injection/deliveries.ts';
import { edgeRoms } from './injection/edges.ts';
import { faultRoms } from './injection/faults.ts';
import { flowRoms } from './injection/flow.ts';
import { gateRoms } from './injection/gates.ts';
import { modeRoms } from './injection/modes.ts';
import { refusalRoms } from './injection/refusals.ts';
import { stateRoms } from './injection/state.ts';
import { switchRoms } from './injection/switches.ts';
import { virtual8086Roms } from './injection/virtual-8086.ts';
import { waitingRoms } from './injection/waiting.ts';

/** Events that VM entries inject; what guests can be entered in. */
export const vtxInjectionRoms: readonly Rom[] = [
  ...deliveryRoms,
  ...virtual8086Roms,
  ...faultRoms,
  ...gateRoms,
  ...edgeRoms,
  ...flowRoms,
  ...refusalRoms,
  ...boundaryRoms,
  ...modeRoms,
  ...stateRoms,
  ...switchRoms,
  ...waitingRoms,
];
