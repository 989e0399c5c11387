import type { Rom } from '../../rom.ts';
import { vtxAddressWidthRoms } from './address-width.ts';
import { vtxEntryControlRoms } from './entry-controls.ts';
import { vtxGuestSegmentCheckRoms } from './guest-segment-checks.ts';
import { vtxGuestStateRoms } from './guest-state.ts';
import { vtxGuestStateCheckRoms } from './guest-state-checks.ts';
import { vtxHost32Roms } from './host-32bit.ts';
import { vtxHostStateRoms } from './host-state.ts';
import { vtxHostStateCheckRoms } from './host-state-checks.ts';
import { vtxMsrAreaRoms } from './msr-areas.ts';
import { vmxCapabilityRoms } from './vmx-capabilities.ts';
import { vmxInstructionRoms } from './vmx-instructions.ts';
import { vmxOperandRoms } from './vmx-operands.ts';

/** ROMs about VMX instructions of a host, and about VM entry. */
export const vtxEntryRoms: readonly Rom[] = [
  ...vmxInstructionRoms,
  ...vmxOperandRoms,
  ...vtxEntryControlRoms,
  ...vtxHostStateCheckRoms,
  ...vtxGuestStateCheckRoms,
  ...vtxGuestSegmentCheckRoms,
  ...vtxMsrAreaRoms,
  ...vtxHostStateRoms,
  ...vtxGuestStateRoms,
  ...vtxHost32Roms,
  ...vmxCapabilityRoms,
  ...vtxAddressWidthRoms,
];
