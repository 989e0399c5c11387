import type { Rom } from '../../rom.ts';
import { vmxInstructionRoms } from './vmx-instructions.ts';
import { vmxOperandRoms } from './vmx-operands.ts';

/** ROMs about VMX instructions of a host, and about VM entry. */
export const vtxEntryRoms: readonly Rom[] = [...vmxInstructionRoms, ...vmxOperandRoms];
