import type { Rom } from '../../rom.ts';
import { svmEntryRoms } from './entry.ts';
import { svmExceptionRoms } from './exceptions.ts';
import { svmInjectionRoms } from './injection.ts';
import { svmInstructionRoms } from './instructions.ts';
import { svmInterruptRoms } from './interrupts.ts';
import { svmNestedPagingRoms } from './nested-paging.ts';
import { svmPortRoms } from './ports-and-msrs.ts';
import { svmRegisterRoms } from './registers.ts';

/** Every ROM about AMD-V. */
export const svmRoms: readonly Rom[] = [
  ...svmInstructionRoms,
  ...svmRegisterRoms,
  ...svmExceptionRoms,
  ...svmPortRoms,
  ...svmInjectionRoms,
  ...svmInterruptRoms,
  ...svmNestedPagingRoms,
  ...svmEntryRoms,
];
