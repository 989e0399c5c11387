import type { InstructionRow } from '../../table/row.ts';
import { controlRegisterRows } from './control-registers.ts';
import { descriptorTableRows } from './descriptor-tables.ts';
import { farTransferRows } from './far-transfers.ts';
import { fastSystemCallRows } from './fast-system-calls.ts';
import { flagRows } from './flags.ts';
import { interruptRows } from './interrupts.ts';
import { ioRows } from './io.ts';
import { processorRows } from './processor.ts';
import { protectionQueryRows } from './protection-queries.ts';
import { segmentRegisterRows } from './segment-registers.ts';
import { stateImageRows } from './state-images.ts';

/** Every row that is plain TypeScript. */
export const systemRows: readonly InstructionRow[] = [
  ...segmentRegisterRows,
  ...controlRegisterRows,
  ...descriptorTableRows,
  ...protectionQueryRows,
  ...farTransferRows,
  ...interruptRows,
  ...fastSystemCallRows,
  ...flagRows,
  ...ioRows,
  ...processorRows,
  ...stateImageRows,
];
