import type { Rom } from '../rom.ts';
import { debugRoms } from './debug.ts';
import { exceptionRoms } from './exceptions.ts';
import { interruptRoms } from './interrupts.ts';
import { memoryAndStateRoms } from './memory-and-state.ts';
import { modeSwitchRoms } from './mode-switches.ts';
import { pagingRoms } from './paging.ts';
import { paging5LevelRoms } from './paging-5level.ts';
import { privilegedRoms } from './privileged.ts';
import { processorRoms } from './processors.ts';
import { segmentRoms } from './segments.ts';
import { svmRoms } from './svm/index.ts';
import { taskRoms } from './tasks.ts';
import { transferRoms } from './transfers.ts';
import { unrealModeRoms } from './unreal-mode.ts';
import { virtual8086Roms } from './virtual-8086.ts';
import { vtxRoms } from './vtx/index.ts';

/** Every ROM. */
export const roms: readonly Rom[] = [
  ...modeSwitchRoms,
  ...unrealModeRoms,
  ...exceptionRoms,
  ...segmentRoms,
  ...transferRoms,
  ...pagingRoms,
  ...paging5LevelRoms,
  ...debugRoms,
  ...taskRoms,
  ...virtual8086Roms,
  ...interruptRoms,
  ...processorRoms,
  ...privilegedRoms,
  ...memoryAndStateRoms,
  ...svmRoms,
  ...vtxRoms,
];
