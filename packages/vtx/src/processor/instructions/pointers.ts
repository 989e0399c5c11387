import { VmInstructionError } from '../../vmcs/instruction-errors.ts';
import { vmFail } from '../entry.ts';
import type { VmxOperation } from '../operation.ts';
import { FAIL_INVALID, SUCCEED, type VmxOutcome } from '../outcome.ts';

/** VMXON, VMXOFF, VMCLEAR, VMPTRLD (SDM Vol. 3C, chapter 31 "VMX Instruction Reference"), from where the operand is at hand. */

/** A 4-KByte aligned address that sets no bit beyond the physical-address width. */
function isRegionAddress(op: VmxOperation, address: number): boolean {
  return address % 4096 === 0 && address >= 0 && address < 2 ** op.capabilities.processor.physicalAddressWidth;
}

/** Bits 31:0 of the region: the revision identifier and the shadow-VMCS indicator. */
function revisionAt(op: VmxOperation, address: number): number {
  return op.cpu.physical.read32(address);
}

export function vmxon(op: VmxOperation, address: number): VmxOutcome {
  if (!isRegionAddress(op, address) || revisionAt(op, address) !== op.capabilities.revisionId) return FAIL_INVALID;
  op.on = true;
  op.vmxonPointer = address;
  op.current = undefined;
  op.cpu.monitorArmed = false;
  return SUCCEED;
}

export function vmxoff(op: VmxOperation): VmxOutcome {
  op.leave();
  return SUCCEED;
}

export function vmclear(op: VmxOperation, address: number): VmxOutcome {
  if (!isRegionAddress(op, address)) return vmFail(op, VmInstructionError.VMCLEAR_INVALID_ADDRESS);
  if (address === op.vmxonPointer) return vmFail(op, VmInstructionError.VMCLEAR_VMXON_POINTER);
  const region = op.regions.at(op.cpu, op.capabilities, address);
  if (region !== undefined) region.vmcs.launchState = 'clear';
  op.regions.forget(address);
  if (op.current?.address === address) op.current = undefined;
  return SUCCEED;
}

export function vmptrld(op: VmxOperation, address: number): VmxOutcome {
  if (!isRegionAddress(op, address)) return vmFail(op, VmInstructionError.VMPTRLD_INVALID_ADDRESS);
  if (address === op.vmxonPointer) return vmFail(op, VmInstructionError.VMPTRLD_VMXON_POINTER);
  // Shadow VMCSs are not supported: bit 31 must be 0.
  const region = revisionAt(op, address) === op.capabilities.revisionId ? op.regions.at(op.cpu, op.capabilities, address) : undefined;
  if (region === undefined) return vmFail(op, VmInstructionError.VMPTRLD_INCORRECT_REVISION);
  op.current = region;
  return SUCCEED;
}
