import type { Rom } from '../rom.ts';
import { exceptionRoms } from './exceptions.ts';
import { modeSwitchRoms } from './mode-switches.ts';
import { pagingRoms } from './paging.ts';
import { segmentRoms } from './segments.ts';
import { transferRoms } from './transfers.ts';

/** Every ROM. */
export const roms: readonly Rom[] = [...modeSwitchRoms, ...exceptionRoms, ...segmentRoms, ...transferRoms, ...pagingRoms];
