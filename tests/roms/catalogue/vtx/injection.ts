import type { Rom } from '../../rom.ts';
import { boundaryRoms } from './injection/boundaries.ts';
import { deliveryRoms } from './injection/deliveries.ts';
import { faultRoms } from './injection/faults.ts';
import { refusalRoms } from './injection/refusals.ts';
import { virtual8086Roms } from './injection/virtual-8086.ts';

/** Events that VM entries inject; what guests can be entered in. */
export const vtxInjectionRoms: readonly Rom[] = [...deliveryRoms, ...virtual8086Roms, ...faultRoms, ...refusalRoms, ...boundaryRoms];
