import { FIELD } from '../vmcs/fields.ts';
import { addressOf } from './controls.ts';
import type { VmxOperation } from './operation.ts';
import type { Region } from './region.ts';

const { GUEST_PML_INDEX, PML_ADDRESS } = FIELD;
const LAST_ENTRY = 511;

/** SDM Vol. 3C, 29.3.6 "Page-Modification Logging": writes the page's address at the PML index, which then counts down; false where the index is beyond 511. */
export function logModifiedPage(op: VmxOperation, gpa: number): boolean {
  const { vmcs } = op.current as Region;
  const index = vmcs.low(GUEST_PML_INDEX);
  if (index > LAST_ENTRY) return false;
  op.cpu.physical.write64Parts(addressOf(vmcs, PML_ADDRESS) + index * 8, gpa % 0x1_0000_0000, Math.floor(gpa / 0x1_0000_0000));
  vmcs.set(GUEST_PML_INDEX, (index - 1) & 0xffff);
  return true;
}
