import type { PageModificationLog } from '@minusone/mmu';
import type { Cpu } from '@minusone/x86';
import { FIELD } from '../vmcs/fields.ts';
import { addressOf } from './controls.ts';
import type { Region } from './region.ts';

const { GUEST_PML_INDEX, PML_ADDRESS } = FIELD;
const LAST_ENTRY = 511;

/** SDM Vol. 3C, 29.3.6 "Page-Modification Logging", of the current VMCS: full where the PML index is beyond 511; an entry is written at the index, which then counts down. */
export function pageModificationLog(cpu: Cpu, current: () => Region): PageModificationLog {
  return {
    isFull: () => current().vmcs.low(GUEST_PML_INDEX) > LAST_ENTRY,
    write: (gpa) => {
      const { vmcs } = current();
      const index = vmcs.low(GUEST_PML_INDEX);
      cpu.physical.write64Parts(addressOf(vmcs, PML_ADDRESS) + index * 8, gpa % 0x1_0000_0000, Math.floor(gpa / 0x1_0000_0000));
      vmcs.set(GUEST_PML_INDEX, (index - 1) & 0xffff);
    },
  };
}
