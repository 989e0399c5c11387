import { isCanonical } from '@minusone/x86';
import type { EptVpidCapability } from '../../capabilities/msrs.ts';
import { VmInstructionError } from '../../vmcs/instruction-errors.ts';
import { vmFail } from '../entry.ts';
import type { VmxOperation } from '../operation.ts';
import { SUCCEED, type VmxOutcome } from '../outcome.ts';

/** INVEPT and INVVPID (SDM Vol. 3C, chapter 31; 29.4.3 "Invalidating Cached Translation Information"). What they must not, but may, forget: other spaces' pages at one linear address. */

const INVEPT_TYPES: readonly (EptVpidCapability | undefined)[] = [undefined, 'inveptSingleContext', 'inveptAllContext'];
const INVVPID_TYPES: readonly (EptVpidCapability | undefined)[] = [
  'invvpidIndividualAddress',
  'invvpidSingleContext',
  'invvpidAllContext',
  'invvpidSingleContextRetainingGlobals',
];

const invalidOperand = (op: VmxOperation): VmxOutcome => vmFail(op, VmInstructionError.INVALID_INVEPT_INVVPID_OPERAND);

/** An EPTP that VM entry would refuse: memory type, walk length, A/D flags, reserved bits (25.6.11). */
function isEptp(op: VmxOperation, eptp: bigint): boolean {
  const { capabilities } = op;
  const type = Number(eptp & 7n);
  const levels = Number((eptp >> 3n) & 7n) + 1;
  const hasType = (type === 6 && capabilities.offersEptVpid('memoryTypeWb')) || (type === 0 && capabilities.offersEptVpid('memoryTypeUc'));
  const hasLevels =
    (levels === 4 && capabilities.offersEptVpid('pageWalkLength4')) || (levels === 5 && capabilities.offersEptVpid('pageWalkLength5'));
  const hasFlags = (eptp & 0x40n) === 0n || capabilities.offersEptVpid('accessedAndDirtyFlags');
  return hasType && hasLevels && hasFlags && (eptp & 0xf80n) === 0n && eptp >> BigInt(capabilities.processor.physicalAddressWidth) === 0n;
}

export function invept(op: VmxOperation, type: bigint, eptp: bigint): VmxOutcome {
  const capability = type < 3n ? INVEPT_TYPES[Number(type)] : undefined;
  if (capability === undefined || !op.capabilities.offersEptVpid(capability)) return invalidOperand(op);
  if (type === 2n) {
    op.tags.flushEpt();
    return SUCCEED;
  }
  if (!isEptp(op, eptp)) return invalidOperand(op);
  op.tags.flushEpt(Number(eptp & 0xffff_ffffn), Number(eptp >> 32n));
  return SUCCEED;
}

/** @param reserved bits 63:16 of the descriptor's first half */
export function invvpid(op: VmxOperation, type: bigint, vpid: number, reserved: bigint, linear: bigint): VmxOutcome {
  const capability = type < 4n ? INVVPID_TYPES[Number(type)] : undefined;
  if (capability === undefined || !op.capabilities.offersEptVpid(capability)) return invalidOperand(op);
  if (reserved !== 0n || (type !== 2n && vpid === 0)) return invalidOperand(op);
  if (type === 0n) {
    const [low, high] = [Number(BigInt.asIntN(32, linear)), Number(BigInt.asIntN(32, linear >> 32n))];
    if (!isCanonical(op.cpu, high)) return invalidOperand(op);
    op.cpu.engine.invalidatePage(low, high);
  } else {
    op.tags.flushVpid(type === 2n ? undefined : vpid);
  }
  return SUCCEED;
}
